"""Fonts for tokens in any script: those on this machine that really have the glyphs."""

import functools
import unicodedata

# Families made for reading on a screen, tried before others that have the same glyphs.
_PREFERRED = (
    "DejaVu Sans",
    "Noto Sans",
    "Source Han Sans",
    "NanumGothic",
    "Malgun Gothic",
    "Apple SD Gothic Neo",
    "Yu Gothic",
    "Hiragino Sans",
    "IPAexGothic",
    "Microsoft YaHei",
    "PingFang",
    "WenQuanYi",
    "Arial Unicode MS",
)
# Fonts that have a box or nothing for every character there is.
_PLACEHOLDERS = ("last resort", "lastresort", "adobe blank", "adobenotdef", "unifont upper")


class Fonts:
    """The font families that show given texts, and the texts as those families can show them.

    Args:
        texts: Iterable of strings.

    Attributes:
        families: List for `Text.set_fontfamily`: matplotlib's own font, then, for the characters it
            lacks, as few others as have them.
    """

    def __init__(self, texts):
        from matplotlib import rcParams
        from matplotlib.font_manager import FontProperties, findfont

        first = _open(str(findfont(FontProperties())))
        self.families = [first.family_name]
        wanted = {c for text in texts for c in _normalized(text) if c.isprintable()}
        missing = wanted - _characters_in(first, wanted)
        while missing:
            family, found = _best_family(missing, tuple(rcParams["font.family"]))
            if not found:
                break
            self.families.append(family)
            missing -= found
        self._shown = wanted - missing

    def showable(self, text):
        """One of the texts, each character that no font has as its code point, such as `U+C6D4`."""
        parts = []  # runs of plain text, and code points, which blanks are to keep apart
        plain = True
        for character in _normalized(text):
            if character in self._shown:
                if not parts or not plain:
                    parts.append("")
                parts[-1] += character
                plain = True
            else:
                parts.append(f"U+{ord(character):04X}")
                plain = False
        return " ".join(parts)

    def apply(self, text):
        """Set the families on a matplotlib `Text`, and draw its dollar signs as they are."""
        text.set_fontfamily(self.families)
        text.set_parse_math(False)
        return text


def _normalized(text):
    """Composed characters: fonts have the syllable 월 more often than its three letters."""
    return unicodedata.normalize("NFC", text)


def _best_family(missing, first):
    """`(family, characters)`: the first with all of the missing characters, else with the most."""
    best = (None, set())
    for family, path, face in _ranked_families(first):
        found = _characters_in(_open(path, face), missing)
        if len(found) > len(best[1]):
            best = (family, found)
        if len(found) == len(missing):
            break
    return best


def _characters_in(font, characters):
    """Those of `characters` that have a glyph in the font's own table, whatever its fallbacks."""
    return {c for c in characters if font is not None and font.get_char_index(ord(c))}


@functools.lru_cache(maxsize=8)
def _ranked_families(first):
    """`(family, path, face)` of upright fonts, `first` and the preferred ones before the others."""
    from matplotlib.font_manager import fontManager

    order = (*first, *_PREFERRED)

    def rank(name):
        return next((i for i, p in enumerate(order) if name.startswith(p)), len(order))

    families = {}  # name: how far from normal weight, path, face; matplotlib takes the nearest
    for font in fontManager.ttflist:
        if font.style == "normal" and not any(p in font.name.lower() for p in _PLACEHOLDERS):
            weight = font.weight if isinstance(font.weight, int) else 400
            file = (abs(weight - 400), font.fname, getattr(font, "index", 0))
            families[font.name] = min(file, families.get(font.name, file))
    names = sorted(
        families, key=lambda name: (families[name][0] > 0, rank(name), "Serif" in name, name)
    )
    return tuple((name, *families[name][1:]) for name in names)


@functools.lru_cache(maxsize=64)
def _open(path, face=0):
    """A font file, or `None` where matplotlib's list of fonts is older than the machine's."""
    from matplotlib.ft2font import FT2Font

    # `matplotlib.font_manager.get_font` would add fallbacks that have a box for every character.
    try:
        return FT2Font(path, face_index=face) if face else FT2Font(path)
    except (OSError, RuntimeError):
        return None
