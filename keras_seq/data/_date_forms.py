"""How people write a date: Babel patterns and irregular forms, locale by locale.

Every text made here can be read in one way only. A month written as a word, a unit such as 年
or 년, or a four-digit year in front fixes the order of the parts; a date of digits alone that
has none of these ("2/4/21") carries the locale it was written in: "2/4/21 (en-US)".
"""

import re
import unicodedata

# Patterns in Unicode's date notation (CLDR): d day, MMM/MMMM month name, EEE/EEEE weekday, y year,
# yy its last two digits, quoted text as it stands, two quotes an apostrophe. {th} becomes the
# ordinal ending of the day. A word alone (short, medium, long, full) is Babel's own style.
STYLES = ("short", "medium", "long", "full")
FORMS = {
    "en_US": (
        *STYLES,
        "MMMM d'{th}', y",
        "MMMM d'{th}', ''yy",
        "MMM d y",
        "MMM d, ''yy",
        "EEE, MMM d y",
        "EEEE, 'the' d'{th}' 'of' MMMM y",
        "d MMMM y",
        "y MMM d",
        "M/d/y",
    ),
    "en_GB": (
        *STYLES,
        "'the' d'{th}' 'of' MMMM y",
        "d'{th}' MMMM y",
        "d'{th}' 'of' MMMM ''yy",
        "EEE d MMM y",
        "EEEE d'{th}' MMMM y",
        "d-MMM-y",
        "d MMM ''yy",
        "d/M/yy",
        "d.M.y",
    ),
    "ko_KR": (
        *STYLES,
        "y년M월d일",
        "y년 M월 d일 (E)",
        "y.M.d",
        "y. M. d. (E)",
        "yy년 M월 d일",
        "y년 MM월 dd일",
        "y-MM-dd",
        "y/M/d",
        "y년M월d일 EEEE",
        "y. MM. dd",
    ),
    "de_DE": (
        *STYLES,
        "d. MMMM ''yy",
        "EEE d. MMM y",
        "'den' d. MMMM y",
        "d. MMM y",
        "d.M.y",
        "EEEE, 'den' d. MMMM y",
        "'am' d. MMMM y",
        "d MMMM y",
        "y-MM-dd",
    ),
    "fr_FR": (
        *STYLES,
        "'le' d'{th}' MMMM y",
        "d'{th}' MMMM y",
        "EEE d MMM y",
        "d MMM ''yy",
        "'le' EEEE d'{th}' MMMM y",
        "d-MMM-y",
        "d/M/yy",
        "d.MM.y",
        "EEEE d MMMM ''yy",
    ),
    "es_ES": (
        *STYLES,
        "d MMMM y",
        "EEE d MMM y",
        "'el' d 'de' MMMM 'de' y",
        "d-MMM-y",
        "EEEE d 'de' MMMM 'del' y",
        "d 'de' MMMM 'del' y",
        "d/MM/y",
        "d MMM ''yy",
    ),
    "it_IT": (
        *STYLES,
        "EEE d MMM y",
        "'il' d MMMM y",
        "d MMMM ''yy",
        "d-MMM-y",
        "d/M/y",
        "EEEE, d MMMM y",
        "'lì' d MMMM y",
        "d.M.yy",
        "MMMM d, y",
    ),
    "pt_BR": (
        *STYLES,
        "d MMMM y",
        "d/MMM/y",
        "d 'de' MMMM ''yy",
        "EEE d MMM y",
        "d/M/yy",
        "EEEE, d/MMM/y",
        "'dia' d 'de' MMMM 'de' y",
        "d.M.y",
        "d 'de' MMM y",
    ),
    "ru_RU": (
        *STYLES,
        "d MMMM y",
        "d MMM y",
        "EEE, d MMM y",
        "EEEE d MMMM y 'года'",
        "d.M.yy",
        "d MMMM y 'года'",
        "EEE d MMMM ''yy",
        "d-MMM-y",
        "y-MM-dd",
    ),
    "ja_JP": (
        *STYLES,
        "y年M月d日(E)",
        "y年 M月 d日",
        "y年MM月dd日",
        "y.M.d",
        "y/M/d(E)",
        "y-MM-dd",
        "y年M月d日（E）",
        "y年M月d日 EEEE",
    ),
    "zh_CN": (
        *STYLES,
        "y年M月d号",
        "y年M月d日 EEE",
        "yy年M月d日",
        "y年MMMMd日",
        "y.M.d",
        "y年 M月 d日",
        "y-MM-dd",
        "y年MM月dd日 EEEE",
        "y年M月d日（EEE）",
    ),
    "nl_NL": (
        *STYLES,
        "EEE d MMM y",
        "'op' d MMMM y",
        "d MMMM ''yy",
        "d-MMM-y",
        "d/M/y",
        "EEEE, d MMMM y",
        "d'e' 'van' MMMM y",
        "d.M.yy",
        "'de' d'e' MMMM y",
    ),
}

_STARTS_WITH_YEAR = re.compile(r"\d{4}\D")
_AFTER_COMMA = re.compile(r", ")


def _ordinal(day, locale):
    if locale.startswith("fr"):
        return "er" if day == 1 else ""
    if day in (11, 12, 13):
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


def reads_one_way(text):
    """Whether the order of day, month and year is plain without knowing the locale.

    Args:
        text: A date of one of `FORMS`.

    Returns:
        True where a word fixes the order or the four-digit year comes first.

    Example:

    ```python
    from keras_seq.data._date_forms import reads_one_way

    assert reads_one_way("2021/03/04") and not reads_one_way("3/4/21")
    ```
    """
    return any(c.isalpha() for c in text) or _STARTS_WITH_YEAR.match(text) is not None


def write_date(date, locale, form, *, case="as is", spacing="as is"):
    """Writes a date in one form of a locale, in Unicode's composed form (NFC).

    Babel's no-break and narrow spaces become ordinary ones: no reader can tell them apart.

    Args:
        date: A `datetime.date`.
        locale: One of the keys of `FORMS`, such as `"de_DE"`.
        form: One of `FORMS[locale]`.
        case: `"as is"`, `"lower"` or `"upper"`.
        spacing: `"as is"`, `"no comma"` (commas left out), `"tight"` (no space after a comma) or
            `"wide"` (the first space doubled).

    Returns:
        The text, a `str`.

    Raises:
        ImportError: If Babel is missing.

    Example:

    ```python
    import datetime
    from keras_seq.data._date_forms import write_date

    text = write_date(datetime.date(2021, 3, 4), "en_US", "short")
    assert text == "3/4/21 (en-US)"
    ```
    """
    try:
        from babel.dates import format_date
    except ImportError as error:
        raise ImportError(
            "date_translation writes its dates with Babel: pip install 'keras_seq[data]'"
        ) from error
    text = format_date(date, form, locale=locale).replace("{th}", _ordinal(date.day, locale))
    text = unicodedata.normalize("NFC", " ".join(text.split()))
    tag = "" if reads_one_way(text) else f" ({locale.replace('_', '-')})"
    if case != "as is":
        text = text.lower() if case == "lower" else text.upper()
    if spacing == "no comma":
        text = text.replace(",", "")
    elif spacing == "tight":
        text = _AFTER_COMMA.sub(",", text)
    elif spacing == "wide":
        text = text.replace(" ", "  ", 1)
    return text + tag
