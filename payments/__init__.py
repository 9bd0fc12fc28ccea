"""The payment service: checkout, subscriptions and a ledger of Stripe's events."""
