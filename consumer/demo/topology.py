"""The demo's two web shops: who calls whom, how long it takes and how often it fails.

Plain tables, read by :mod:`consumer.demo.shop`. Times are medians in milliseconds of an
operation's own work, without its calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Request:
    """A call of another service's operation: a CLIENT span and, over there, a SERVER span."""

    operation: str
    share: float = 1.0
    required: bool = True


@dataclass(frozen=True, slots=True)
class Query:
    """A database statement: a CLIENT span with ``db.*`` attributes."""

    database: str
    statement: str
    table: str
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Publish:
    """A PRODUCER span; every subscriber of the topic has a CONSUMER span under it."""

    topic: str
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class External:
    """A call to somebody who sends no spans: a CLIENT span that names its peer."""

    peer: str
    name: str
    median_ms: float
    error_share: float = 0.0
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Work:
    """Something worth an INTERNAL span."""

    name: str
    median_ms: float


Step = Request | Query | Publish | External | Work


@dataclass(frozen=True, slots=True)
class Operation:
    """What a service does when asked: its own work and its steps, one after the other.

    ``slow_share`` of the runs take some twenty times as long.
    """

    service: str
    name: str
    median_ms: float
    steps: Sequence[Step] = ()
    error_share: float = 0.0
    slow_share: float = 0.005


@dataclass(frozen=True, slots=True)
class Database:
    """A database: what it is, what it is called and where it is."""

    system: str
    name: str
    address: str
    median_ms: float


@dataclass(frozen=True, slots=True)
class Shop:
    """A tenant's system. ``entries`` gives the operations that users call, with weights."""

    tenant: str
    language: str
    messaging_system: str
    operations: Mapping[str, Operation]
    databases: Mapping[str, Database]
    subscribers: Mapping[str, Sequence[str]]
    entries: Mapping[str, float]


_ACME_OPERATIONS = {
    "home": Operation(
        "frontend",
        "GET /",
        3.0,
        (Request("session"), Request("recommend"), Request("list-products"), Work("render", 2.0)),
    ),
    "product": Operation(
        "frontend",
        "GET /product/{id}",
        3.0,
        (
            Request("session"),
            Request("get-product"),
            Request("get-reviews", required=False),
            Request("recommend", share=0.5, required=False),
            Work("render", 2.5),
        ),
    ),
    "search": Operation("frontend", "GET /search", 3.0, (Request("search-products"),)),
    "add-to-cart": Operation(
        "frontend", "POST /cart", 2.0, (Request("session"), Request("cart-add"))
    ),
    "checkout": Operation(
        "frontend", "POST /checkout", 4.0, (Request("session"), Request("place-order"))
    ),
    "session": Operation("auth", "Auth/Session", 1.0, (Query("sessions", "GET", "session"),)),
    "list-products": Operation(
        "catalog",
        "GET /products",
        2.0,
        (Query("catalog", "SELECT", "products"), Request("price", share=0.8)),
    ),
    "get-product": Operation(
        "catalog",
        "GET /products/{id}",
        1.5,
        (Query("catalog", "SELECT", "products"), Request("price"), Request("stock")),
        error_share=0.002,
    ),
    "search-products": Operation(
        "search",
        "GET /search",
        6.0,
        (Work("rank", 8.0), Request("list-products")),
        error_share=0.01,
        slow_share=0.03,
    ),
    "recommend": Operation(
        "recommendation",
        "Recommendation/List",
        5.0,
        (Work("score", 9.0), Query("sessions", "GET", "profile")),
        error_share=0.004,
    ),
    "get-reviews": Operation(
        "reviews",
        "GET /reviews/{product}",
        2.0,
        (Query("reviews", "find", "reviews"),),
        error_share=0.03,
    ),
    "price": Operation(
        "pricing", "Pricing/Quote", 1.0, (Request("promotion", share=0.3, required=False),)
    ),
    "promotion": Operation(
        "promotion", "Promotion/Match", 1.2, (Query("sessions", "HGETALL", "promotions"),)
    ),
    "stock": Operation(
        "inventory", "Inventory/Available", 1.0, (Query("inventory", "SELECT", "stock"),)
    ),
    "reserve": Operation(
        "inventory",
        "Inventory/Reserve",
        2.0,
        (Query("inventory", "UPDATE", "stock"),),
        error_share=0.01,
    ),
    "cart-add": Operation(
        "cart",
        "POST /cart/items",
        1.5,
        (Request("stock"), Query("sessions", "HSET", "cart")),
        error_share=0.003,
    ),
    "cart-get": Operation("cart", "GET /cart", 1.0, (Query("sessions", "HGETALL", "cart"),)),
    "place-order": Operation(
        "checkout",
        "POST /orders",
        5.0,
        (
            Request("cart-get"),
            Request("price"),
            Request("reserve"),
            Request("charge"),
            Request("create-order"),
        ),
    ),
    "charge": Operation(
        "payment",
        "POST /charge",
        4.0,
        (
            Request("assess"),
            External("stripe.com", "POST /v1/charges", 90.0, error_share=0.02),
            Query("payments", "INSERT", "charges"),
        ),
        error_share=0.02,
    ),
    "assess": Operation("fraud", "Fraud/Assess", 6.0, (Work("features", 4.0), Work("model", 12.0))),
    "create-order": Operation(
        "order", "POST /orders", 3.0, (Query("orders", "INSERT", "orders"), Publish("orders"))
    ),
    "ship": Operation(
        "shipping",
        "orders process",
        8.0,
        (External("dhl.com", "POST /shipments", 60.0), Query("orders", "UPDATE", "orders")),
        error_share=0.01,
    ),
    "notify": Operation(
        "notification",
        "orders process",
        4.0,
        (External("smtp.example.net", "SMTP send", 25.0, error_share=0.01),),
    ),
    "invoice": Operation("invoice", "orders process", 15.0, (Work("typeset", 20.0),)),
}

_ACME_DATABASES = {
    "sessions": Database("redis", "0", "redis.acme.internal", 0.4),
    "catalog": Database("postgresql", "catalog", "catalog-db.acme.internal", 2.0),
    "inventory": Database("postgresql", "inventory", "inventory-db.acme.internal", 1.8),
    "orders": Database("postgresql", "orders", "orders-db.acme.internal", 3.0),
    "payments": Database("postgresql", "payments", "payments-db.acme.internal", 2.5),
    "reviews": Database("mongodb", "reviews", "reviews-db.acme.internal", 3.0),
}

ACME = Shop(
    tenant="acme",
    language="go",
    messaging_system="kafka",
    operations=_ACME_OPERATIONS,
    databases=_ACME_DATABASES,
    subscribers={"orders": ("ship", "notify", "invoice")},
    entries={"home": 30, "product": 40, "search": 15, "add-to-cart": 10, "checkout": 5},
)

_GLOBEX_OPERATIONS = {
    "browse": Operation(
        "storefront", "GET /items", 6.0, (Query("shop", "SELECT", "items"), Work("template", 5.0))
    ),
    "item": Operation(
        "storefront",
        "GET /items/{id}",
        5.0,
        (Query("shop", "SELECT", "items"), Request("availability", required=False)),
    ),
    "buy": Operation(
        "storefront", "POST /buy", 8.0, (Request("availability"), Request("bill")), slow_share=0.05
    ),
    "availability": Operation(
        "warehouse",
        "GET /availability",
        12.0,
        (Query("cache", "GET", "availability"), Query("shop", "SELECT", "stock", share=0.3)),
        error_share=0.05,
    ),
    "bill": Operation(
        "billing",
        "POST /invoices",
        10.0,
        (
            External("api.paypal.com", "POST /v2/orders", 180.0, error_share=0.08),
            Publish("invoices"),
        ),
        error_share=0.01,
    ),
    "mail": Operation("mailer", "invoices process", 30.0, (Work("render", 6.0),), error_share=0.02),
}

GLOBEX = Shop(
    tenant="globex",
    language="python",
    messaging_system="rabbitmq",
    operations=_GLOBEX_OPERATIONS,
    databases={
        "shop": Database("postgresql", "shop", "pg.globex.internal", 6.0),
        "cache": Database("redis", "1", "redis.globex.internal", 0.8),
    },
    subscribers={"invoices": ("mail",)},
    entries={"browse": 60, "item": 30, "buy": 10},
)

SHOPS = (ACME, GLOBEX)
SHARES = {"acme": 0.85, "globex": 0.15}
"""Each tenant's part of the spans."""
