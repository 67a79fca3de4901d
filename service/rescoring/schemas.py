"""Wire shapes of rescorings."""

from pydantic import ConfigDict, Field

from service.kit.http import Code, Day, Schema


class RescoringIn(Schema):
    """What is to be scored anew."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"product": "credit-score", "as_of": "2024-06-30"}]})

    product: Code = Field(description="Code of a loan product.")
    as_of: Day = Field(description="Business date; nothing known later is used.")
