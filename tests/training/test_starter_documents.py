"""The starter's knowledge base: the form of its documents, and that they say what `shop.toml` says.

Coverage is checked fact by fact. Contradictions are looked for by unit: each amount of euros, days, grams
and the like must stand in a sentence about the matter it belongs to. A sentence is read together with the
title and the heading above it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from training import starter
from training.starter import library
from training.starter.facts import Fact, facts

PACKAGE = Path(starter.__file__).parent
DOCUMENTS = {file.stem: file.read_text(encoding="utf-8") for file in sorted(library.folder().glob("*.md"))}
SHOP: dict[str, Any] = tomllib.loads((PACKAGE / "shop.toml").read_text(encoding="utf-8"))
COUNTRIES = {row["name"]: row for row in SHOP["country"]}
STORES = {row["name"]: row for row in SHOP["store"]}
PRODUCTS = {row["name"]: row for row in SHOP["product"]}
SUBJECTS = (*COUNTRIES, *STORES, *PRODUCTS)

# What a number may be about: each pattern must be found in a sentence that holds the number.
DAYS = {"45": "return", "7": "refund", "5": "track", "10": "repair", "14": "invoice"}
EUROS = {
    "4.90": r"return|size swap",
    "10": "200 points",
    "12": "express",
    "15 to 250": "gift card",
    "20": "repair",
    "80": "free",
}
# What a sentence about one matter may say, wherever it stands.
ALWAYS = (
    (r"\bfree from (\S+ euros)|(?:from|over) (\S+ euros)[^.]* free", "80 euros"),
    (r"\bexpress\b[^.]*\b(?:costs|for) (\S+ euros)", "12 euros"),
    (r"\breturn (?:label|shipping) costs (\S+ euros)", "4.90 euros"),
    (r"\breturns?\b[^.]* within (\S+ days)", "45 days"),
    (r"\breturn window (?:of|is the same) (\S+ days)", "45 days"),
    (r"\brefunds? (?:is|are) paid within (\S+ days)", "7 days"),
    (r"\bwarranty of (\S+ years)", "3 years"),
    (r"(\S+)-year warranty", "3"),
    (r"\b(\S+ points) (?:are worth|give you) 10 euros", "200 points"),
    (r"\bpoints last (\S+ years)", "two years"),
    (r"\bearn (\S+ points?) for every euro", "1 point"),
    (r"\bnewsletter readers get (\S+ percent)", "10 percent"),
    (r"\breturn the old one within (\S+ weeks)", "two weeks"),
    (r"\bboots[^.]* run (.+?) small", "half a size"),
    (r"\bweekdays from (\S+ to \S+)\.", "8 to 18"),
    (r"\bexpress[^.]* only in (.+?)\.", "Germany and Austria"),
)


# What `shop.toml` leaves open and several documents say.
SHARED = {
    "180 cm": ("product-ember-sleeping-bag", "sizes-sleeping-bags", "guide-sleeping-bags"),
    "195 cm": ("product-ember-sleeping-bag", "sizes-sleeping-bags", "guide-sleeping-bags"),
    "36 to 47": ("product-tarn-boots", "sizes-boots"),
    "42 to 48 cm": ("product-ridge-backpack", "sizes-backpacks"),
    "49 to 55 cm": ("product-ridge-backpack", "sizes-backpacks"),
    "54 to 60 cm": ("product-gale-hat", "sizes-jackets"),
}


def title(text: str) -> str:
    return text.partition("\n")[0].removeprefix("# ")


def words(text: str) -> int:
    return len(re.findall(r"\w+(?:[’'.,-]\w+)*", text))


@cache
def sentences() -> tuple[tuple[str, str, str], ...]:
    """The name of the document, the sentence, and the sentence after its title and heading."""
    return tuple(
        (name, one, f"{title(text)}. {section.partition(chr(10))[0]}. {one}")
        for name, text in DOCUMENTS.items()
        for section in text.split("\n## ")[1:]
        for line in section.splitlines()
        for one in re.split(r"(?<=[.:!?])\s+", line.strip())
        if one
    )


def stray(unit: str, meanings: dict[str, str]) -> Iterator[str]:
    """Each sentence with a number of `unit` that is about nothing the number stands for."""
    values = re.compile(rf"((?:minus |\d\S* to )?\d[\d.,]*)[ -]{unit}\b", re.I)
    for name, sentence, context in sentences():
        for value in values.findall(sentence):
            if value not in meanings or not re.search(meanings[value], context, re.I):
                yield f"{name}: {sentence}"


def merged(*groups: dict[str, str]) -> dict[str, str]:
    """One pattern a value, which takes whatever any of the groups takes."""
    values = dict.fromkeys(value for group in groups for value in group)
    return {value: "|".join(group[value] for group in groups if value in group) for value in values}


def of_countries(field: str) -> dict[str, str]:
    rows = ({row[field].removesuffix(" euros"): f"Shipping to {name}"} for name, row in COUNTRIES.items())
    return merged(*rows)


def of_products(field: str) -> dict[str, str]:
    return merged(*({str(row[field]): name} for name, row in PRODUCTS.items()))


# Form


def test_there_are_enough_documents_and_their_names_are_plain() -> None:
    assert len(DOCUMENTS) >= 60
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", name) for name in DOCUMENTS)
    assert {file.suffix for file in library.folder().iterdir()} == {".md"}


def test_titles_are_unique() -> None:
    titles = [title(text).lower() for text in DOCUMENTS.values()]
    assert len(titles) == len(set(titles))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_has_one_title_short_sections_and_a_fair_length(name: str) -> None:
    text = DOCUMENTS[name]
    assert re.match(r"# \S.*\n\n## \S", text)
    assert len(re.findall(r"^# ", text, re.M)) == 1
    assert 2 <= len(re.findall(r"^## ", text, re.M)) <= 5
    assert 60 <= words(text) <= 320
    assert text == text.strip() + "\n"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_names_no_address_outside_the_shop(name: str) -> None:
    assert not re.search(r"https?:|www\.|\]\(|[{}]", DOCUMENTS[name])
    assert set(re.findall(r"@([\w.-]*\w)", DOCUMENTS[name])) <= {"northlight.example"}


# Coverage


@pytest.mark.parametrize("fact", facts(), ids=lambda fact: f"{fact.topic}-{fact.keys[0]}")
def test_a_document_states_each_fact(fact: Fact) -> None:
    found = [
        text
        for text in DOCUMENTS.values()
        if fact.subject in title(text)
        and any(re.search(rf"(?<!\d){re.escape(key)}", text) for key in fact.keys)
    ]
    assert found


@pytest.mark.parametrize("subject", SUBJECTS)
def test_each_country_store_and_product_has_one_document(subject: str) -> None:
    assert sum(subject in title(text) for text in DOCUMENTS.values()) == 1


# Agreement with the shop


@pytest.mark.parametrize("country", COUNTRIES)
def test_a_country_s_document_has_its_days_and_its_cost_alone(country: str) -> None:
    row, text = COUNTRIES[country], DOCUMENTS[f"shipping-{country.lower()}"]
    assert set(re.findall(r"\b\d+ to \d+ days", text)) == {f"{row['days']} days"}
    express = [one for one in re.split(r"(?<=[.;])\s", text) if "express" in one.lower()]
    plain = re.sub("|".join(map(re.escape, express)), "", text)
    assert set(re.findall(r"[\d.]+ euros", plain)) == {row["cost"], "80 euros"}
    assert ("12 euros" in " ".join(express)) == (country in {"Germany", "Austria"})


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_product_s_document_has_its_price_weight_and_quality(product: str) -> None:
    row, text = PRODUCTS[product], DOCUMENTS[f"product-{product.lower().replace(' ', '-')}"]
    assert title(text) == product
    assert f"The {product} {row['quality']}" in text
    assert f"| Price | {row['price']} euros" in text
    assert f"| Weight | {row['grams']} grams" in text
    assert text.count("\n| ") >= 7


@pytest.mark.parametrize("store", STORES)
def test_a_store_s_document_has_its_street_and_its_hours_alone(store: str) -> None:
    row, text = STORES[store], DOCUMENTS[f"store-{store.lower()}"]
    assert row["street"] in text
    assert set(re.findall(r"\d+ to \d+", text)) == {row["hours"]}
    assert not any(other["street"] in text for other in STORES.values() if other is not row)
    assert re.search("closed on Sundays|every day but Sunday", text)


@pytest.mark.parametrize(
    ("unit", "meanings"),
    [
        ("days", merged(DAYS, of_countries("days"))),
        ("euros", merged(EUROS, of_countries("cost"), of_products("price"))),
        ("grams", of_products("grams")),
        ("years?", {"3": "warranty", "4": "gift card"}),
        ("hours?", {"2": "cancel|change", "40": "Beacon headlamp"}),
        ("degrees", {"30": "wash", "minus 8": "Ember sleeping bag"}),
        ("percent", {"10": "newsletter"}),
        ("points?", {"1": "Trail Club", "200": "worth|euros|steps"}),
        ("minutes", {"4": "Spark stove"}),
        ("litres?", {"1": "Brook bottle", "45": "Ridge backpack"}),
        ("people", {"3": "Aurora tent"}),
    ],
    ids=lambda given: given if isinstance(given, str) else "of",
)
def test_a_number_stands_only_where_it_belongs(unit: str, meanings: dict[str, str]) -> None:
    assert list(stray(unit, meanings)) == []


@pytest.mark.parametrize(("pattern", "value"), ALWAYS, ids=[value for _, value in ALWAYS])
def test_a_matter_has_the_same_value_wherever_it_stands(pattern: str, value: str) -> None:
    found = [
        (name, next(filter(None, match.groups())))
        for name, text in DOCUMENTS.items()
        for match in re.finditer(pattern, text, re.I)
    ]
    assert found
    assert [(name, said) for name, said in found if said != value] == []


def test_every_carrier_is_the_same_in_the_overview_and_the_country() -> None:
    carriers = dict(re.findall(r"\*\*(.+?)\*\* delivers in (.+)\.", DOCUMENTS["shipping-overview"]))
    named = {one: carrier for carrier, where in carriers.items() for one in COUNTRIES if one in where}
    rest = next(carrier for carrier, where in carriers.items() if "all other" in where)
    for country in COUNTRIES:
        text = DOCUMENTS[f"shipping-{country.lower()}"]
        assert {one for one in carriers if one in text} == {named.get(country, rest)}


@pytest.mark.parametrize("value", SHARED)
def test_an_invented_number_is_the_same_in_each_document(value: str) -> None:
    assert [name for name in SHARED[value] if value not in DOCUMENTS[name]] == []
