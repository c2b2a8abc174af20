package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
)

// Compile reads a schema. Its errors are of type [*Error].
func Compile(text []byte) (*Schema, error) {
	if len(text) > MaxBytes {
		return nil, &Error{Problem: fmt.Sprintf("the schema is longer than %d bytes", MaxBytes)}
	}
	v, err := decodeValue(text)
	if err != nil {
		return nil, &Error{Problem: err.Error()}
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return nil, &Error{Problem: "this is no JSON"}
	}
	c := &compiler{
		document: v,
		nodes:    make(map[string]*node),
		anchors:  make(map[string]string),
		alone:    true,
	}
	c.findAnchors("", v)
	root, err := c.node("", v)
	if err == nil {
		err = c.findCycles()
	}
	if err != nil {
		return nil, err
	}
	return &Schema{root: root, text: compact.Bytes(), selfContained: c.alone}, nil
}

func sortedNames[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

// compiler makes nodes of the schemas of one document. Each has a place, a JSON
// pointer, and is made once.
type compiler struct {
	document any
	nodes    map[string]*node
	anchors  map[string]string
	alone    bool
}

// findAnchors notes where the document's anchors are.
func (c *compiler) findAnchors(place string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, keyword := range []string{"$anchor", "$dynamicAnchor"} {
			if name, ok := v[keyword].(string); ok {
				if _, taken := c.anchors[name]; !taken {
					c.anchors[name] = place
				}
			}
		}
		for _, name := range sortedNames(v) {
			if name != "enum" && name != "const" {
				c.findAnchors(child(place, name), v[name])
			}
		}
	case []any:
		for i, e := range v {
			c.findAnchors(child(place, strconv.Itoa(i)), e)
		}
	}
}

// child is the place of something in what is at place (RFC 6901 §3).
func child(place, name string) string {
	return place + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// node returns the schema at a place.
func (c *compiler) node(place string, v any) (*node, error) {
	if n, made := c.nodes[place]; made {
		return n, nil
	}
	n := &node{}
	c.nodes[place] = n
	switch v := v.(type) {
	case bool:
		n.never = !v
		return n, nil
	case map[string]any:
		k := &keywords{c: c, n: n, place: place, fields: v}
		k.read()
		return n, k.err
	}
	return nil, &Error{place, "a schema is an object, true or false"}
}

// target returns the schema that a reference leads to.
func (c *compiler) target(place, ref string) (*node, error) {
	fragment, local := strings.CutPrefix(ref, "#")
	if id := c.rootID(); !local && id != "" && (ref == id || strings.HasPrefix(ref, id+"#")) {
		fragment, local = strings.TrimPrefix(strings.TrimPrefix(ref, id), "#"), true
	}
	if !local {
		return nil, &Error{child(place, "$ref"), "only what is in the same schema can be referred to: nothing is fetched"}
	}
	fragment, err := url.PathUnescape(fragment)
	if err != nil {
		return nil, &Error{child(place, "$ref"), "this is no reference"}
	}
	pointer := fragment
	if fragment != "" && !strings.HasPrefix(fragment, "/") {
		var ok bool
		if pointer, ok = c.anchors[fragment]; !ok {
			return nil, &Error{child(place, "$ref"), "there is no such anchor"}
		}
	}
	at, v := "", c.document
	for _, step := range strings.Split(pointer, "/")[1:] {
		name := strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		switch inside := v.(type) {
		case map[string]any:
			v = inside[name]
		case []any:
			i, err := strconv.Atoi(name)
			if v = nil; err == nil && i >= 0 && i < len(inside) {
				v = inside[i]
			}
		default:
			v = nil
		}
		at = child(at, name)
	}
	if v == nil {
		return nil, &Error{child(place, "$ref"), "there is nothing where it leads"}
	}
	return c.node(at, v)
}

func (c *compiler) rootID() string {
	root, _ := c.document.(map[string]any)
	id, _ := root["$id"].(string)
	return strings.TrimSuffix(id, "#")
}

// findCycles refuses a schema that applies to a value only if it applies to it: checking
// it would never end.
func (c *compiler) findCycles() error {
	for _, place := range sortedNames(c.nodes) {
		if !c.nodes[place].ends() {
			return &Error{place, "the schema refers to itself for the same value"}
		}
	}
	return nil
}

// ends reports whether following what applies to the same value comes to an end.
func (n *node) ends() bool {
	if n.visited {
		return true
	}
	if n.visiting {
		return false
	}
	n.visiting = true
	for _, next := range n.inPlace {
		if !next.ends() {
			return false
		}
	}
	n.visiting, n.visited = false, true
	return true
}

// newPattern compiles a regular expression that cannot cost much.
func newPattern(text string) (*pattern, string) {
	if len(text) > maxPattern {
		return nil, fmt.Sprintf("the pattern is longer than %d bytes", maxPattern)
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, "this is no regular expression, or has what is not known here: lookarounds, back references"
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil || len(program.Inst) > maxInstructions {
		return nil, "the pattern is too large"
	}
	compiled, err := regexp.Compile(text)
	if err != nil {
		return nil, "this is no regular expression"
	}
	return &pattern{compiled, len(program.Inst)}, ""
}
