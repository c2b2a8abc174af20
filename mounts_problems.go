package bctrl

import (
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"
)

// maxProblems bounds a refusal of mounts: it names the first hundred problems.
const maxProblems = 100

// The names of what can be wrong with mounts, each a [Problem.Code] behind
// "mounts.".
const (
	codeWidening          = "mounts.scope_widening"
	codeDeniedByCeiling   = "mounts.denied_by_ceiling"
	codeAllowRequired     = "mounts.allow_required"
	codeInvalidPrefix     = "mounts.invalid_prefix"
	codeInvalidCredential = "mounts.invalid_credential_id"
	codeInvalidCapability = "mounts.invalid_capability"
	codeInvalidProvider   = "mounts.invalid_provider"
	codeInvalidNamespace  = "mounts.invalid_namespace"
	codeInvalidAccess     = "mounts.invalid_access"
	codeDefaultNotAllowed = "mounts.default_not_allowed"
)

// problems collects what is wrong with mounts, or with another value that has
// many fields, in their order.
type problems []Problem

func (ps *problems) add(p Problem) {
	if len(*ps) < maxProblems {
		p.Value = quotable(p.Value)
		*ps = append(*ps, p)
	}
}

// full reports that no further problem will be named.
func (ps *problems) full() bool { return len(*ps) == maxProblems }

// check adds a problem with a value when it breaks a rule of its grammar.
func (ps *problems) check(code, field, value string, rule error) bool {
	if rule != nil {
		ps.add(Problem{Code: code, Field: field, Value: value, Hint: rule.Error()})
	}
	return rule == nil
}

// err returns nil, or the refusal that names every problem.
func (ps problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	first := ps[0]
	return &Error{
		Status: http.StatusBadRequest, Code: first.Code, Message: explainCode(first.Code),
		Field: first.Field, Witness: first.Witness, Hint: first.Hint, Problems: ps,
	}
}

func explainCode(code string) string {
	switch code {
	case codeWidening:
		return "the mounts ask for more than the level above permits"
	case codeDeniedByCeiling:
		return "the mounts ask for what the level above denies"
	case codeAllowRequired:
		return "a workspace's mount says what it allows"
	case codeDefaultNotAllowed:
		return "a default is not among the allowed credentials"
	case codeInvalidAuth:
		return "the auth strategy is malformed"
	}
	return "the mounts are malformed"
}

// element returns the path of an element of a list: "mounts.vault.allow[0]".
func element(field string, index int) string { return fmt.Sprintf("%s[%d]", field, index) }

// quotable returns mount text as a refusal quotes it: valid, and no longer than
// any valid text is.
func quotable(text string) string {
	const longest = 512
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= longest {
		return text
	}
	cut := longest
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

// ceilingText prints lists of the level above, `{allow: ["prod/crm/"]}`; an
// empty deny is left out.
func ceilingText(allow, deny []string) string {
	text := "{allow: " + listText(allow)
	if len(deny) > 0 {
		text += ", deny: " + listText(deny)
	}
	return text + "}"
}

// listText prints the beginning of a list.
func listText(list []string) string {
	const shown = 10
	var b strings.Builder
	b.WriteByte('[')
	for i, s := range list[:min(len(list), shown)] {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q", quotable(s))
	}
	if len(list) > shown {
		fmt.Fprintf(&b, ", and %d more", len(list)-shown)
	}
	b.WriteByte(']')
	return b.String()
}
