// Package agent does what a person asks for on a web page: it shows a model
// the page, does what the model calls for, and shows it the page again, until
// the model says it is done or a limit is reached.
//
// # What the model sees
//
// The first message holds the task and one view of the page. After that, the
// result of the last tool call of each turn ends with a fresh view. A view is
// written by [View.String] and read back by [ParseView]:
//
//	<view id="9f86d081884c7d65">
//	URL: https://crm.example.com/login
//	Title: Sign in
//	Tabs:
//	- t1 https://crm.example.com/ Overview
//	- t2 (in front) https://crm.example.com/login Sign in
//	Logins you may fill:
//	- prod/crm/salesforce (password, totp) for https://login.example.com
//	Downloads:
//	- q1-pipeline.csv (1204 bytes) at exports/q1-pipeline.csv
//	Page:
//	[e1] textbox "Username" value="[secret]"
//	[e2] textbox "Password"
//	[e3] button "Sign in"
//	</view id="9f86d081884c7d65">
//
// The id is random and new in each view, so that a page cannot write the end
// of its own view and go on in our name. "Logins you may fill:" and
// "Downloads:" always have their line and read "none" below it when there are
// none; "Tabs:" is there where there are several. Everything after "Page:" is the outline of the page, an element a
// line, with the reference in brackets that tools take ("e1").
//
// # One loop
//
// [Act], [Agent] and [BrowserUse] are one loop with other options: a step asks the model
// once, does what it calls for, and records what was done ([Deps.Record]) before the next
// one. [Observe] and [Extract] ask about one page and do nothing to it; [ActOn] does what
// was observed, and [Replay] what a transcript says, without a model. What a task may
// take is bounded, whatever the model says:
//
//	steps         how often it is asked                        LimitSteps
//	tokens, cost  no question begins that would exceed them    LimitTokens, LimitCost
//	time          of the task                                  LimitTime
//	failures      steps in a row of which nothing succeeded    LimitFailures
//	step time     a step that takes longer has failed
//	calls         those of one answer past the bound are not done
//
// A bound that is reached is no error: the result says which, and what was done. Its
// message names the code of the last failure: "agent.no_call" of answers without a call
// that could be run, "agent.step_timeout", or that of a page or a model.
//
// The errors of this package, each a [*bctrl.Error]:
//
//	those of the arguments' own Validate, which the SDK gives too
//	agent.invalid_schema      no JSON Schema that can be used
//	agent.invalid_timeout     a negative time
//	agent.unknown_tool, agent.invalid_arguments     of actions to begin with
//	agent.invalid_observed    nothing that observing gives
//	agent.unknown_price       a bound on the cost, and a model without a price
//	agent.host_not_allowed    the browser could not be kept from a host that is not allowed
//	agent.host_not_allowed, agent.address_refused, agent.file_not_delivered
//	                          of actions that a task does not permit: each is in the result's
//	                          actions, and told to [Deps.Refused]
//	agent.login_not_listed    the call lists other logins (told to the model)
//	agent.timeout, agent.step_timeout               observing or extracting took too long
//	observe.invalid_answer, extract.invalid_answer  the model did not answer as it must
//	replay.no_actions, replay.masked                steps that cannot be done again
//	replay.not_there, replay.failed                 an element that is gone, an action that failed
//	page.changed              what was observed is gone, or another
//
// # What the model never sees
//
// A secret. The model names an element and a vault key; the server decides,
// types and audits. Every text on its way to the model passes a last guard
// that replaces each value used so far, in any usual encoding, by "[secret]".
//
// The model is hostile: it may have read a hostile page. It can do nothing
// that this package's tools do not offer, and each of them checks.
package agent
