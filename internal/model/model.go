// Package model holds the values that packages inside the server pass to each other and that
// never reach a client: actors, accounts, log-ins, tickets, revocations and queries.
package model
