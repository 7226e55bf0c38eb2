/** What stands in a record for a value that Postgres did not send, because it is stored out of line and did not change. */
export const unavailableValue = "__debezium_unavailable_value" // Debezium's `unavailable.value.placeholder`
