"""Reader of pickles that builds plain values itself. Standard library only.

Python's own unpicklers call what the file names, with arguments that the file chooses; NumPy, pandas and torch trust
these arguments. Here an opcode can only make a container, a text, a number or a value of a `Maker`, which checks its
arguments.
"""

import codecs
import gc
import pickle
import re
import struct
import sys
from collections.abc import Callable, Sequence

from train_utils.files.pickle_limits import LONG_TEXT, MAX_INT_BYTES, Maker, Name, PlainValues, Unfinished, refuse

Opcode = Callable[["PickleReader", int], int]
Find = Callable[[str], Maker | None]  # "module name" -> its maker; KeyError for what is not plain data

_U4, _I4, _F8 = (struct.Struct(form).unpack_from for form in ("<I", "<i", ">d"))
_LONG_BINGETS, _XU4 = re.compile(rb"(?:j.{4})+", re.DOTALL), struct.Struct("<xI").iter_unpack


_NEVER = Unfinished(lambda state: None)  # in the place of an index that the file has not used


class PickleReader(PlainValues):
    """One pickle, read once by `load`.

    Args:
        data: the file.
        find: makers of the names that the file may use.
        persistent: maker of the values that the file keeps elsewhere; None if it may not.
        size: bytes of the file with what it keeps elsewhere; 0 for those of `data`.
    """

    def __init__(
        self,
        data: bytes,
        find: Find,
        persistent: Callable[[object], object] | None = None,
        size: int = 0,
    ):
        super().__init__(size or len(data))
        self.data, self.find, self.persistent = data, find, persistent
        self.stack: list = []
        self.marks: list[int] = []
        self.memo: list = []

    def load(self) -> object:
        """Return the value of the file; dictionaries of all kinds come as `dict`.

        Raises:
            ValueError: the file is damaged, or holds anything but plain data; also other errors of a damaged file:
                LookupError, TypeError, ArithmeticError and struct.error.
        """
        collects = gc.isenabled()
        gc.disable()  # nothing that is made here is garbage, and looking for some takes a third of the time
        try:
            self._run()
        finally:
            if collects:
                gc.enable()
        if self.marks or len(self.stack) != 1:
            refuse("it ends early")
        (value,) = self.stack
        if type(value) not in self.whole:
            self.measure(value, keep=False)
        return value

    def put(self, index: int) -> None:
        """Remember the last value by its index. Indices are in a row; Python 2 begins at 1."""
        memo = self.memo
        if index == len(memo):
            memo.append(self.stack[-1])
        elif 0 <= index < len(self.data):
            memo += [_NEVER] * (index + 1 - len(memo))
            memo[index] = self.stack[-1]
        else:
            refuse(f"it remembers a value by the index {index}")

    def _all_again(self, values: list) -> list:
        """Return values that the file refers to again."""
        if set(map(type, values)) == {str} and max(map(len, values)) <= LONG_TEXT:
            return values
        return [self.again(value) for value in values]

    def _run(self) -> None:
        """Follow the opcodes up to STOP. The most frequent ones are here: a call for each would double the time."""
        data, stack, marks, memo = self.data, self.stack, self.marks, self.memo
        push, remember, other = self.stack.append, self.memo.append, _OPCODES
        at = 0
        while True:
            code = data[at]
            at += 1
            if code == 0x94:  # MEMOIZE
                remember(stack[-1])
            elif code == 0x8C:  # SHORT_BINUNICODE
                start = at + 1
                at = start + data[at]
                push(data[start:at].decode("utf-8", "surrogatepass"))
                if data[at] == 0x94:
                    remember(stack[-1])
                    at += 1
            elif code == 0x68 or code == 0x6A:  # BINGET, LONG_BINGET; they come in rows
                while True:
                    if code == 0x6A:
                        if data[at + 4] == 0x6A:  # a long row at once
                            end = _LONG_BINGETS.match(data, at - 1).end()  # type: ignore[union-attr]
                            stack += self._all_again([memo[n] for (n,) in _XU4(data[at - 1 : end])])
                            code = data[end]
                            at = end + 1
                            continue
                        value = memo[_U4(data, at)[0]]
                        at += 4
                    elif code == 0x68:
                        value = memo[data[at]]
                        at += 1
                    else:
                        break
                    push(value if type(value) is str and len(value) <= LONG_TEXT else self.again(value))
                    code = data[at]
                    at += 1
                at -= 1
            elif code == 0x28:  # MARK
                marks.append(len(stack))
            elif code == 0x4B or code == 0x4D or code == 0x4A:  # BININT1, BININT2, BININT; they come in rows
                while True:
                    if code == 0x4D:
                        push(data[at] | data[at + 1] << 8)
                        at += 2
                    elif code == 0x4B:
                        push(data[at])
                        at += 1
                    elif code == 0x4A:
                        push(_I4(data, at)[0])
                        at += 4
                    else:
                        break
                    code = data[at]
                    at += 1
                at -= 1
            elif code == 0x5D:  # EMPTY_LIST
                push([])
            elif code == 0x7D:  # EMPTY_DICT
                push({})
            elif code == 0x65:  # APPENDS
                start = marks.pop()
                items = stack[start:]
                del stack[start:]
                self.changeable(stack[-1], list).extend(items)
            elif code == 0x75:  # SETITEMS
                start = marks.pop()
                items = stack[start:]
                del stack[start:]
                self.set_items(stack[-1], items[::2], items[1::2])
            elif 0x85 <= code <= 0x87 or code == 0x74:  # TUPLE1, TUPLE2, TUPLE3, TUPLE
                start = marks.pop() if code == 0x74 else len(stack) - (code - 0x84)
                row = tuple(stack[start:])
                del stack[start:]
                push(row)
            elif code == 0x47:  # BINFLOAT
                push(_F8(data, at)[0])
                at += 8
            elif code == 0x71:  # BINPUT
                self.put(data[at])
                at += 1
            elif code == 0x72:  # LONG_BINPUT
                self.put(_U4(data, at)[0])
                at += 4
            elif code == 0x58:  # BINUNICODE
                start = at + 4
                at = start + _U4(data, at)[0]
                push(data[start:at].decode("utf-8", "surrogatepass"))
            elif code == 0x2E:  # STOP
                return
            else:
                if code not in other:
                    refuse(f"it uses the opcode 0x{code:02x}, which plain data do not need")
                at = other[code](self, at)


# -- the other opcodes: (reader, position after the opcode) -> position after its argument ----------------------------
def _line(reader: PickleReader, at: int) -> tuple[bytes, int]:
    end = reader.data.index(b"\n", at)
    return reader.data[at:end], end + 1


def _constant(make: Callable[[], object]) -> Opcode:
    def push(reader: PickleReader, at: int) -> int:
        reader.stack.append(make())
        return at

    return push


def _counted(width: int, make: Callable[[bytes], object], most: int = sys.maxsize) -> Opcode:
    """Return the opcode of a value whose length is in `width` bytes before it."""

    def push(reader: PickleReader, at: int) -> int:
        begin = at + width
        length = int.from_bytes(reader.data[at:begin], "little")
        if length > most:
            refuse(f"a number has {length} bytes, wanted at most {most}")
        reader.stack.append(make(reader.data[begin : begin + length]))
        return begin + length

    return push


def _text_line(make: Callable[[bytes], object]) -> Opcode:
    def push(reader: PickleReader, at: int) -> int:
        text, at = _line(reader, at)
        reader.stack.append(make(text))
        return at

    return push


def _with_last(count: int, use: Callable[..., None]) -> Opcode:
    """Return the opcode that takes `count` values from the stack, or those after the mark where it is 0."""

    def take(reader: PickleReader, at: int) -> int:
        start = len(reader.stack) - count if count else reader.marks.pop()
        values = reader.stack[start:]
        del reader.stack[start:]
        use(reader, values)
        return at

    return take


def _append(reader: PickleReader, values: list) -> None:
    reader.changeable(reader.stack[-1], list).append(values[0])


def _set_item(reader: PickleReader, values: list) -> None:
    reader.set_items(reader.stack[-1], values[:1], values[1:])


def _add_items(reader: PickleReader, values: list) -> None:
    reader.changeable(reader.stack[-1], set).update(reader.make_set(values))


def _dict(reader: PickleReader, values: list) -> None:
    reader.stack.append({})
    reader.set_items(reader.stack[-1], values[::2], values[1::2])


def _reduce(reader: PickleReader, at: int) -> int:
    arguments, made = reader.stack.pop(), reader.stack.pop()
    if type(made) is not Name or type(arguments) is not tuple:
        refuse("it calls what is no function")
    if made.make is None:
        refuse(f"it calls {made.text.replace(' ', '.')}, which plain data do not need")
    reader.stack.append(made.make(reader, *arguments))
    return at


def _build(reader: PickleReader, at: int) -> int:
    state, target = reader.stack.pop(), reader.stack[-1]
    if type(target) is Unfinished and target.value is None:
        reader.stack[-1] = target.value = target.finish(state)
    elif type(target) is not dict:  # attributes of an ordered dictionary are left out
        refuse("it gives a state to what has none")
    return at


def _persistent_id(reader: PickleReader, values: list) -> None:
    if reader.persistent is None:
        refuse("it refers to a value outside the file")
    reader.stack.append(reader.persistent(values[0]))


def _push_name(reader: PickleReader, values: Sequence[object]) -> None:
    module, name = values
    if type(module) is not str or type(name) is not str:
        refuse("a class has no name")
    text = f"{module[:200].replace('__builtin__', 'builtins')} {name[:200]}"  # Python 2 has builtins in __builtin__
    try:
        reader.stack.append(Name(text, reader.find(text)))
    except KeyError:
        refuse(f"it asks for {text.replace(' ', '.')}, which is not plain data")


def _global(reader: PickleReader, at: int) -> int:
    module, at = _line(reader, at)
    name, at = _line(reader, at)
    _push_name(reader, (module.decode("ascii"), name.decode("ascii")))
    return at


def _proto(reader: PickleReader, at: int) -> int:
    if reader.data[at] > 5:
        refuse(f"it has protocol {reader.data[at]}, wanted at most 5")
    return at + 1


def _put(reader: PickleReader, at: int) -> int:
    index, at = _line(reader, at)
    reader.put(int(index))
    return at


def _get(reader: PickleReader, at: int) -> int:
    index, at = _line(reader, at)
    reader.stack.append(reader.again(reader.memo[int(index)]))
    return at


def _number(text: bytes) -> object:
    truths: dict[bytes, object] = {b"00": False, b"01": True}
    return truths[text] if text in truths else int(text.removesuffix(b"L"))


def _quoted(text: bytes) -> str:
    if len(text) < 2 or text[:1] != text[-1:] or text[:1] not in (b"'", b'"'):
        refuse("a text has no quotation marks")
    return codecs.escape_decode(text[1:-1])[0].decode("ascii")


def _utf8(text: bytes) -> str:
    return text.decode("utf-8", "surrogatepass")


def _ascii(text: bytes) -> str:
    return text.decode("ascii")


def _integer(data: bytes) -> int:
    return int.from_bytes(data, "little", signed=True)


_OPCODES: dict[int, Opcode] = {
    opcode[0]: follow
    for opcode, follow in {
        pickle.PROTO: _proto,
        pickle.FRAME: lambda reader, at: at + 8,
        pickle.NONE: _constant(lambda: None),
        pickle.NEWTRUE: _constant(lambda: True),
        pickle.NEWFALSE: _constant(lambda: False),
        pickle.EMPTY_TUPLE: _constant(tuple),
        pickle.EMPTY_SET: _constant(set),
        pickle.LIST: _with_last(0, lambda reader, values: reader.stack.append(values)),
        pickle.DICT: _with_last(0, _dict),
        pickle.FROZENSET: _with_last(0, lambda reader, values: reader.stack.append(frozenset(reader.make_set(values)))),
        pickle.APPEND: _with_last(1, _append),
        pickle.SETITEM: _with_last(2, _set_item),
        pickle.ADDITEMS: _with_last(0, _add_items),
        pickle.REDUCE: _reduce,
        pickle.NEWOBJ: _reduce,
        pickle.BUILD: _build,
        pickle.BINPERSID: _with_last(1, _persistent_id),
        pickle.GLOBAL: _global,
        pickle.STACK_GLOBAL: _with_last(2, _push_name),
        pickle.BINUNICODE8: _counted(8, _utf8),
        pickle.SHORT_BINSTRING: _counted(1, _ascii),
        pickle.BINSTRING: _counted(4, _ascii),
        pickle.SHORT_BINBYTES: _counted(1, bytes),
        pickle.BINBYTES: _counted(4, bytes),
        pickle.BINBYTES8: _counted(8, bytes),
        pickle.BYTEARRAY8: _counted(8, bytearray),
        pickle.LONG1: _counted(1, _integer),
        pickle.LONG4: _counted(4, _integer, MAX_INT_BYTES),
        pickle.INT: _text_line(_number),
        pickle.LONG: _text_line(_number),
        pickle.FLOAT: _text_line(float),
        pickle.STRING: _text_line(_quoted),
        pickle.UNICODE: _text_line(lambda text: text.decode("raw-unicode-escape")),
        pickle.PUT: _put,
        pickle.GET: _get,
    }.items()
}
