package template

import (
	"regexp"
	"strings"
)

// Match reports whether text is one that the template expands to, and what each
// field stands for then, a field that appears twice by its last. The text
// between fields is compared without regard to case, as the schemes of HTTP
// are, and a field stands for one character or more.
func (t Template) Match(text string) (fields map[string]string, ok bool) {
	var pattern strings.Builder
	pattern.WriteString("(?is)^")
	var names []string
	for _, p := range t.parts {
		if p.name == "" {
			pattern.WriteString(regexp.QuoteMeta(p.text))
			continue
		}
		names = append(names, p.name)
		pattern.WriteString("(.+?)")
	}
	pattern.WriteString("$")
	found := regexp.MustCompile(pattern.String()).FindStringSubmatch(text) // of quoted text: it compiles
	if found == nil {
		return nil, false
	}
	fields = make(map[string]string, len(names))
	for i, name := range names {
		fields[name] = found[i+1]
	}
	return fields, true
}
