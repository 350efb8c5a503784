"""How files of text are written: their encoding, and the delimiter and quotation marks of CSV and TSV."""

from dataclasses import dataclass

from lightning_nlp.errors import UserError

DELIMITERS = {",": ",", "tab": "\t", ";": ";", "|": "|"}  # by the names that the command line knows


@dataclass(frozen=True)
class Dialect:
    """How files of text are written."""

    encoding: str = "utf-8"  # of all but parquet, as Python names it
    delimiter: str | None = None  # of CSV and TSV: a character, or "tab"; None goes by the suffix
    quoting: bool = True  # whether fields may be between quotation marks; else these are plain characters

    def __post_init__(self) -> None:
        try:
            "".encode(self.encoding)
        except (LookupError, ValueError) as error:
            raise UserError(
                f"--data.encoding {self.encoding!r} is none that Python knows: give utf-8, cp1252, utf-16, ..."
            ) from error
        if self.delimiter is not None:
            delimiter = DELIMITERS.get(self.delimiter.replace("\\t", "tab"), self.delimiter)
            if len(delimiter) != 1 or delimiter in '"\r\n':
                raise UserError(f"--data.delimiter {self.delimiter!r} is not one character: give ; | , or tab.")
            object.__setattr__(self, "delimiter", delimiter)


UTF8 = Dialect()
