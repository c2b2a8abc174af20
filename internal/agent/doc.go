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
// none. Everything after "Page:" is the outline of the page, an element a
// line, with the reference in brackets that tools take ("e1").
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
