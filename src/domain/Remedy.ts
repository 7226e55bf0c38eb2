/**
 * What a person does about a gap, in one place. The repair in place, by which design and operators know it, is not in this
 * version, and a message must not send anybody to a flag that does not exist.
 */
export const startAnew = "`cdc setup --resnapshot`, which would repair it in place, is not in this version yet: "
  + "read everything anew with `cdc teardown --confirm --topics`, `cdc setup` and `cdc run`"
