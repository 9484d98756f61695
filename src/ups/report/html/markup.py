"""HTML as nested function calls; text is escaped unless it is markup already."""

from markupsafe import Markup, escape


def tag(name: str, *inner: str, **attributes: str | float | None) -> Markup:
    """The element `<name attributes>inner</name>`.

    `inner` is escaped unless it is `Markup`. In the names of attributes a leading or trailing `_` is dropped and others
    become `-` (`class_`, `aria_label`); an attribute that is None is left out.
    """
    given = {key.strip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None}
    listed = "".join(f' {key}="{escape(value)}"' for key, value in given.items())
    return Markup(f"<{name}{listed}>{join(*inner)}</{name}>")


def join(*parts: str) -> Markup:
    """Text and markup one after the other."""
    return Markup("").join(parts)


def table(heads: list[str], rows: list[list[str]], numeric: set[int], class_: str = "") -> Markup:
    """A table whose first column names its rows; columns in `numeric` are set flush right.

    On narrow screens every row becomes a block in which `data-label` repeats the head of the column, without the cells
    that are `–`.
    """
    sides = ["number" if i in numeric else None for i in range(len(heads))]
    head = [tag("th", text, scope="col", class_=side) for text, side in zip(heads, sides, strict=True)]
    body = [
        tag(
            "tr",
            *(
                tag("td", cell, data_label=heads[i], class_=_classes(sides[i], cell))
                if i
                else tag("th", cell, scope="row")
                for i, cell in enumerate(row)
            ),
        )
        for row in rows
    ]
    return tag("table", tag("thead", tag("tr", *head)), tag("tbody", *body), class_=class_ or None)


def _classes(side: str | None, cell: str) -> str | None:
    return " ".join(name for name in (side, "nothing" if cell == "–" else None) if name) or None


def facts(pairs: list[tuple[str, str]]) -> Markup:
    """A list of names and what they stand for."""
    return tag("dl", *(join(tag("dt", name), tag("dd", value)) for name, value in pairs), class_="facts")
