"""Check the study's numbers in the docs against the stored results: `python docs/study/check_numbers.py`.

The study's page, and the paragraph about it in the README, must print what `numbers_of_page.py` computes from
docs/results/. A number that it does not list is an error, unless `NO_RESULTS` says that no such number is a result.
"""

import re
import sys
from pathlib import Path

PAGE = Path(__file__).with_name("index.md")
README = PAGE.parents[2] / "README.md"
PARAGRAPH = r"^!\[What FGSM leaves.*?(?=^`mr\.audit)"
NUMBER = r"(?<![\w.])[-−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"


def series(item):
    """Return a pattern for one or several items: "2", "2 and 3", "2, 3 and 4", "2 to 6"."""
    return rf"{item}(?:(?:, | to | and |, and ){item})*"


END = r"(?![\d.,]*\d)"  # "T = 1 and 4" has two temperatures, "T = 1 and 0.4" has one
TEMPERATURE = rf"(?:1/\d+|16|[1248]){END}"
EPSILON = rf"(?:0\.(?:01|02|025|03|05|1|2|3|5)|1){END}"
SMALL = rf"\d\d?{END}"
# Text whose numbers are no results of the study.
NO_RESULTS = (
    r"^```.*?^```",  # code
    r"`[^`]*`",
    r"<!--.*?-->",
    r"\]\([^)]*\)",  # the target of a link
    r"\bdoi:\S+",
    r"^#.*?$",  # headings
    r"^\*The paper\*:.*?(?=\n\n|\Z)",  # what the paper prints
    rf"\bT [=≤≥<>] {series(TEMPERATURE)}",
    rf"\b(?=1/){series(TEMPERATURE)}",
    rf"\bε [=≤≥<>] {series(EPSILON)}",
    rf"\b(?:[Ff]igures?|[Cc]hecks?|[Ss]ections?|[Ss]eeds?) {series(SMALL)}",
    r"\bp [=≤≥<>] \.\d+",  # levels of significance; a measured p begins with 0
    r"\b95 % intervals?",
    r"\bCIFAR-10\b",
    r"\b\d{4}-\d{2}-\d{2}\b",  # dates
    r"\bICANN 2020\b",
)


def main():
    """Print what is wrong, and return the exit code."""
    from numbers_of_page import CONSTANTS, NUMBERS, NUMBERS_OF_README  # reads the stored results

    page, readme = (path.read_text(encoding="utf-8") for path in (PAGE, README))
    paragraph = re.search(PARAGRAPH, readme, re.MULTILINE | re.DOTALL)
    wrong = check(page, NUMBERS, CONSTANTS) + check(paragraph[0] if paragraph else "", NUMBERS_OF_README, ())
    count = sum(map(len, (NUMBERS | NUMBERS_OF_README).values()))
    print("\n".join(wrong) or f"{count} numbers agree with the stored results")
    return 1 if wrong else 0


def check(page, numbers, constants):
    """Return a sentence about every number that is wrong or unknown.

    Parameters
    ----------
    page : str
        In Markdown.
    numbers : mapping of str to sequence of float
        Pieces of the page's text with numbers in braces, and the results that they should be.
    constants : sequence of str
        Pieces of text whose numbers are no results.
    """
    wrong, rest = [], page
    for pattern in NO_RESULTS:
        rest = re.sub(pattern.replace(" ", r"\s+"), _blank, rest, flags=re.MULTILINE | re.DOTALL)
    for text, results in numbers.items():
        printed = re.findall(rf"{{({NUMBER})}}", text)
        found = list(re.finditer(_pattern(text), page))
        if len(printed) != len(results):
            wrong.append(f"{text!r}: {len(printed)} numbers in braces, {len(results)} results")
        if not found:
            wrong.append(f"{text!r}: not on the page")
        for number, result in zip(printed, results, strict=False):
            if number.replace("−", "-") != (expected := _rounded(result, number)):
                wrong.append(f"{text!r}: the page has {number}, the results {expected}")
        for match in found:
            for group in range(1, len(printed) + 1):
                rest = _without(rest, *match.span(group))
    for text in constants:
        found = list(re.finditer(_pattern(text), page))
        if not found:
            wrong.append(f"{text!r}: not on the page")
        for match in found:
            rest = _without(rest, *match.span())
    for match in re.finditer(NUMBER, rest):
        line = page.count("\n", 0, match.start()) + 1
        around = " ".join(page[max(match.start() - 40, 0) : match.end() + 20].split())
        wrong.append(f"line {line}: {match[0]} is not in numbers_of_page.py: … {around} …")
    return wrong


def _pattern(text):
    """Return a regular expression for a piece of text, in which a space may be a line break and braces are groups."""
    parts = re.split(rf"{{({NUMBER})}}", text)
    escaped = [re.sub(r"(?:\\ )+", r"\\s+", re.escape(part)) for part in parts]
    return "".join(f"({part})" if index % 2 else part for index, part in enumerate(escaped))


def _rounded(result, printed):
    """Return a result with as many decimals as are printed, and commas if there are some."""
    decimals = len(printed.partition(".")[2])
    return f"{result:{',' * (',' in printed)}.{decimals}f}"


def _without(text, start, end):
    return text[:start] + " " * (end - start) + text[end:]


def _blank(match):
    """Return blanks of the same length, with the line breaks, so that positions stay the same."""
    return re.sub(r"[^\n]", " ", match[0])


if __name__ == "__main__":
    sys.exit(main())
