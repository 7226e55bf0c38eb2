import { readFileSync } from "node:fs"
import { parse } from "yaml"
import * as TypeMapping from "../../src/publish/TypeMapping.ts"
import type { Modes } from "../../src/publish/types/Modes.ts"

/** The modes of `config/default.yaml`. */
export const defaultModes = (parse(readFileSync(new URL("../../config/default.yaml", import.meta.url), "utf8")) as { types: Modes }).types

/** The mapping of all tests that are not about modes. */
export const defaultTypes = TypeMapping.make(defaultModes)
