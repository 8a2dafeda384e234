// Command benchdb measures the way of changes into the database: messages through
// the journal against a transaction per event and against the raw ceiling, on
// both databases, with fsync on. Ratios are taken within one run. After every
// measurement it verifies that what was acknowledged is what is stored. Not on
// Windows.
package main
