import datetime
import itertools

import pytest

from keras_seq.data._date_forms import FORMS, reads_one_way, write_date

DATE = datetime.date(2021, 3, 3)


@pytest.mark.parametrize(
    ("locale", "form", "text"),
    [
        ("en_US", "MMMM d'{th}', ''yy", "March 3rd, '21"),
        ("en_GB", "'the' d'{th}' 'of' MMMM y", "the 3rd of March 2021"),
        ("ko_KR", "y년M월d일", "2021년3월3일"),
        ("ko_KR", "y년 M월 d일 (E)", "2021년 3월 3일 (수)"),
        ("de_DE", "long", "3. März 2021"),
        ("it_IT", "full", "mercoledì 3 marzo 2021"),
        ("ja_JP", "y年M月d日(E)", "2021年3月3日(水)"),
        ("ru_RU", "long", "3 марта 2021 г."),
    ],
)
def test_dates_are_written_as_people_of_the_locale_write_them(locale, form, text):
    assert form in FORMS[locale]
    assert write_date(DATE, locale, form) == text


def test_digits_whose_order_hangs_on_the_locale_carry_it():
    assert write_date(DATE, "en_US", "short") == "3/3/21 (en-US)"
    assert write_date(DATE, "en_US", "short", case="lower") == "3/3/21 (en-US)"
    assert write_date(DATE, "ja_JP", "short") == "2021/03/03"
    assert not reads_one_way("02.04.2021")
    assert reads_one_way("2021. 4. 2.") and reads_one_way("21년 4월 2일")


def test_english_ordinals_end_as_spoken():
    days = {d: write_date(DATE.replace(day=d), "en_GB", "d'{th}' MMMM y") for d in range(1, 32)}
    ends = {day: text.split()[0].lstrip("0123456789") for day, text in days.items()}
    assert [d for d in ends if ends[d] == "st"] == [1, 21, 31]
    assert [d for d in ends if ends[d] == "nd"] == [2, 22]
    assert [d for d in ends if ends[d] == "rd"] == [3, 23]


def test_case_and_spacing_vary():
    def write(**options):
        return write_date(DATE, "en_US", "long", **options)

    assert write(case="upper") == "MARCH 3, 2021"
    assert write(spacing="no comma") == "March 3 2021"
    assert write(spacing="tight") == "March 3,2021"
    assert write(spacing="wide") == "March  3, 2021"


def test_no_text_has_two_meanings_in_any_form_of_any_locale():
    # Days, months and years that can be mistaken for one another, in every order.
    numbers = (1, 2, 3, 10, 11, 12)
    meanings = {}
    for year, month, day in itertools.product(numbers, repeat=3):
        date = datetime.date(2000 + year, month, day)
        for locale, forms in FORMS.items():
            for form in forms:
                text = write_date(date, locale, form)
                assert meanings.setdefault(text, date) == date, text
