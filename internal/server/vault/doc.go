// Package vault keeps logins: sealed, listed by the prefixes that a caller's
// mounts name, and opened by one use that a route and an agent share
// ([Service.UseLogin]). Nothing here calls a site: a browser fills in what is
// given out, and says where.
package vault
