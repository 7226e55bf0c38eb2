import type { CaptureError } from "../capture/CaptureError.ts"
import type { KafkaError } from "../connections/KafkaError.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import type { EncodeError } from "../publish/EncodeError.ts"
import type { PublishError } from "../publish/PublishError.ts"

/** What capture fails with, and tries again if it can pass by itself. */
export type CaptureFailure = CaptureError | EncodeError | KafkaError | PostgresError | PublishError
