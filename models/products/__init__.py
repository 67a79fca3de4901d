"""Every loan product, listed by hand."""

from typing import Final

from models.product import Product
from models.products.credit_score import CREDIT_SCORE

PRODUCTS: Final[dict[str, Product]] = {product.code: product for product in (CREDIT_SCORE,)}
"""Products by code."""
