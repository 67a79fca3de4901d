import dataclasses

import pytest

from features.build import CATALOG
from features.sufficiency import REQUIREMENTS
from models.product import CentralTendency, Product
from models.products import PRODUCTS


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
def test_every_product_is_complete(product):
    assert PRODUCTS[product.code] is product
    assert product.title_en
    assert product.title_zh
    assert product.target
    assert set(product.features) <= CATALOG.keys()
    assert set(product.requirements) <= REQUIREMENTS.keys()
    assert 0 < product.central_tendency.rate < 0.2
    assert product.central_tendency.source


def test_the_credit_score_loan_rests_on_invoices_firm_owner_and_cluster():
    families = {CATALOG[name].family for name in PRODUCTS["credit-score"].features}
    assert {"sales", "stability", "buyers", "suppliers", "firm", "owner", "cluster"} <= families


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"features": ("no_such_feature",)}, "unknown features"),
        ({"features": ("ln_sales", "ln_sales")}, "named twice"),
        ({"requirements": ("no_such_gate",)}, "unknown requirements"),
    ],
)
def test_a_product_refuses_names_it_cannot_use(change, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(PRODUCTS["credit-score"], **change)


@pytest.mark.parametrize(("rate", "source"), [(0.0, "x"), (1.0, "x"), (0.03, "")])
def test_a_central_tendency_is_a_rate_with_its_source(rate, source):
    with pytest.raises(ValueError, match="central tendency"):
        CentralTendency(rate, source)


def test_products_are_frozen():
    product: Product = PRODUCTS["credit-score"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        product.code = "other"
