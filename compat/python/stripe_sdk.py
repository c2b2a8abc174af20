"""The SDK of Stripe: forms, paging, idempotency keys."""

import stripe

from compat import main


def program(base, key, direct):
    client = stripe.StripeClient(key, base_addresses={"api": base})
    made = client.v1.customers.create({"name": "Ada", "metadata": {"kind": "so & so"}}, {"idempotency_key": "once"})
    try:
        client.v1.customers.retrieve("cus_missing")
        missing = ""
    except stripe.InvalidRequestError as e:
        missing = e.code
    return {
        "made": [made.name, made.metadata["kind"]],
        "customers": [customer.id for customer in client.v1.customers.list({"limit": 1}).auto_paging_iter()],
        "missing": missing,
    }


main(program)
