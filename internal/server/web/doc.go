// Package web is the kernel of the server: what every route stands on, whatever
// it is about. It finds out who calls and what they may do, gives an idempotency
// key one effect, writes a change and its record as one, ends what is no longer
// permitted, and answers in the form of the contract.
//
// It knows callers, mounts, the store, seals and the audit log. It may know no
// area: no login, file, credential, provider or browser. An area brings [Route]s
// and imports this package, and the linter refuses the other direction.
//
// A request passes, in this order:
//
//   - [Router]: which route; a path or a method that none has is refused.
//   - enter: who calls ([Kernel.Authenticate]). From then on the request is
//     underway: it ends, with the reason, once its caller has ended or the mounts
//     do not permit any more what it was granted ([Kernel.Obey]).
//   - The route's own bounds: whether a runtime may call it at all, and whether
//     the query has only what the route takes.
//   - Idempotency: the first answer to the request's key is given once more if
//     the caller may still see it; else the request owns the key while it runs.
//   - The handler, which reads its input and asks for its right by
//     [Request.Authorize], before it looks for anything.
//   - [Change], for what is written: the right is decided about once more inside
//     the transaction, which has the change, its event and the kept answer, or
//     none of them. [Kernel.Use], for what is used: the intent is durable before
//     the effect, and the outcome follows.
//   - The record: a refusal that the log wants and does not have yet is written
//     before it is answered. Refusals of callers that nobody knows are counted
//     together once they come too often ([Strangers]).
//
// A handler returns a [bctrl.Error] for whatever it refuses, made by the
// constructors here that are named for a status. Any other error is a fault of
// the server: it is logged, and answered without its text.
package web
