package schema

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Reason is why a value does not validate. It has no part of the value: places name
// properties only where the schema does.
type Reason struct {
	// Place is a JSON pointer into the value; a property that the schema does not
	// name is "*".
	Place string
	// Keyword is that of the schema which the value does not keep to.
	Keyword string
	// Detail is what the schema asks for; empty where the keyword says it all.
	Detail string
}

func (r Reason) String() string {
	place := r.Place
	if place == "" {
		place = "/"
	}
	if r.Detail == "" {
		return place + ": " + r.Keyword
	}
	return place + ": " + r.Keyword + " (" + r.Detail + ")"
}

// Validate checks a JSON text. No reasons is a value that validates. There are at most
// 20; a value that takes too much work to check has one, of the keyword "work".
func (s *Schema) Validate(text []byte) []Reason {
	v, err := decodeValue(text)
	if err != nil {
		return []Reason{{Keyword: "JSON", Detail: err.Error()}}
	}
	c := &checking{}
	reasons, _ := c.check(s.root, v, "")
	if c.work > maxWork {
		return []Reason{{Keyword: "work", Detail: "the schema takes too much work to check"}}
	}
	if len(reasons) > maxReasons {
		reasons = reasons[:maxReasons]
	}
	return reasons
}

// checking is one validation. It gives up when its work is too much: what it says then
// is not used.
type checking struct{ work int }

// evaluated are the parts of a value that some schema has looked at.
type evaluated struct {
	allProperties, allItems bool
	properties              map[string]bool
	items                   map[int]bool
}

func (e *evaluated) property(name string) {
	if e.properties == nil {
		e.properties = make(map[string]bool)
	}
	e.properties[name] = true
}

func (e *evaluated) item(i int) {
	if e.items == nil {
		e.items = make(map[int]bool)
	}
	e.items[i] = true
}

func (e *evaluated) join(other evaluated) {
	e.allProperties, e.allItems = e.allProperties || other.allProperties, e.allItems || other.allItems
	for name := range other.properties {
		e.property(name)
	}
	for i := range other.items {
		e.item(i)
	}
}

// check returns why v does not validate against n.
func (c *checking) check(n *node, v any, place string) (reasons []Reason, seen evaluated) {
	if c.work++; c.work > maxWork {
		return []Reason{{place, "work", ""}}, seen
	}
	if n.never {
		return []Reason{{place, "false", "nothing is permitted here"}}, seen
	}
	k := &check{c: c, n: n, v: v, place: place}
	k.value()
	k.inPlace()
	switch v := v.(type) {
	case json.Number:
		k.number(v)
	case string:
		k.text(v)
	case []any:
		k.array(v)
	case map[string]any:
		k.object(v)
	}
	return k.reasons, k.seen
}

// check is the checking of one value against one schema.
type check struct {
	c       *checking
	n       *node
	v       any
	place   string
	reasons []Reason
	seen    evaluated
}

func (k *check) fail(keyword, detail string) {
	if len(k.reasons) < maxReasons {
		k.reasons = append(k.reasons, Reason{k.place, keyword, detail})
	}
}

// apply checks the same value against another schema.
func (k *check) apply(n *node) {
	reasons, seen := k.c.check(n, k.v, k.place)
	k.take(reasons)
	k.seen.join(seen)
}

func (k *check) take(reasons []Reason) {
	k.reasons = append(k.reasons, reasons[:min(len(reasons), maxReasons-len(k.reasons))]...)
}

// part checks a part of the value.
func (k *check) part(n *node, v any, name string) {
	reasons, _ := k.c.check(n, v, child(k.place, name))
	k.take(reasons)
}

func (k *check) value() {
	if k.n.types != nil && !slices.ContainsFunc(k.n.types, func(t string) bool { return isType(k.v, t) }) {
		k.fail("type", strings.Join(k.n.types, " or "))
	}
	if k.n.enum == nil && k.n.constant == nil {
		return
	}
	text := canonicalText(k.v)
	k.c.work += len(text) / 16
	if k.n.enum != nil && !k.n.enum[text] {
		k.fail("enum", "")
	}
	if k.n.constant != nil && text != *k.n.constant {
		k.fail("const", "")
	}
}

func isType(v any, name string) bool {
	switch v := v.(type) {
	case nil:
		return name == "null"
	case bool:
		return name == "boolean"
	case string:
		return name == "string"
	case []any:
		return name == "array"
	case map[string]any:
		return name == "object"
	case json.Number:
		r, ok := number(v)
		return ok && (name == "number" || name == "integer" && r.IsInt())
	}
	return false
}

func (k *check) inPlace() {
	n := k.n
	if n.ref != nil {
		k.apply(n.ref)
	}
	for _, one := range n.allOf {
		k.apply(one)
	}
	if n.anyOf != nil {
		k.oneOrMore("anyOf", n.anyOf, len(n.anyOf))
	}
	if n.oneOf != nil {
		k.oneOrMore("oneOf", n.oneOf, 1)
	}
	if n.not != nil {
		if reasons, _ := k.c.check(n.not, k.v, k.place); len(reasons) == 0 {
			k.fail("not", "")
		}
	}
	if n.ifs != nil {
		next := n.otherwise
		reasons, seen := k.c.check(n.ifs, k.v, k.place)
		if len(reasons) == 0 {
			k.seen.join(seen)
			next = n.then
		}
		if next != nil {
			k.apply(next)
		}
	}
}

// oneOrMore checks against several schemas, of which at least one and at most some must
// hold. Where none does, it tells of the one that comes nearest.
func (k *check) oneOrMore(keyword string, nodes []*node, most int) {
	held := 0
	var nearest []Reason
	for _, one := range nodes {
		reasons, seen := k.c.check(one, k.v, k.place)
		if len(reasons) == 0 {
			held++
			k.seen.join(seen)
			continue
		}
		otherType := slices.ContainsFunc(reasons, func(r Reason) bool { return r.Place == k.place && r.Keyword == "type" })
		if !otherType && (nearest == nil || len(reasons) < len(nearest)) {
			nearest = reasons
		}
	}
	switch {
	case held == 0:
		k.fail(keyword, "none holds")
		k.take(nearest)
	case held > most:
		k.fail(keyword, "more than one holds")
	}
}

func (k *check) number(v json.Number) {
	n := k.n
	if n.multipleOf == nil && n.minimum == nil && n.maximum == nil && n.exclusiveMinimum == nil && n.exclusiveMax == nil {
		return
	}
	r, ok := number(v)
	if !ok {
		k.fail("type", "a number of a size that can be checked")
		return
	}
	if n.multipleOf != nil && !new(big.Rat).Quo(r, n.multipleOf).IsInt() {
		k.fail("multipleOf", n.multipleOf.RatString())
	}
	if n.minimum != nil && r.Cmp(n.minimum) < 0 {
		k.fail("minimum", n.minimum.RatString())
	}
	if n.maximum != nil && r.Cmp(n.maximum) > 0 {
		k.fail("maximum", n.maximum.RatString())
	}
	if n.exclusiveMinimum != nil && r.Cmp(n.exclusiveMinimum) <= 0 {
		k.fail("exclusiveMinimum", n.exclusiveMinimum.RatString())
	}
	if n.exclusiveMax != nil && r.Cmp(n.exclusiveMax) >= 0 {
		k.fail("exclusiveMaximum", n.exclusiveMax.RatString())
	}
}

func (k *check) text(v string) {
	if k.n.minLength != nil || k.n.maxLength != nil {
		k.between("minLength", "maxLength", utf8.RuneCountInString(v), k.n.minLength, k.n.maxLength)
	}
	if k.n.pattern != nil && !k.c.matches(k.n.pattern, v) {
		k.fail("pattern", "")
	}
}

// matches counts what matching may take.
func (c *checking) matches(p *pattern, text string) bool {
	if c.work += 1 + len(text)*p.instructions/16; c.work > maxWork {
		return false
	}
	return p.MatchString(text)
}

func (k *check) between(atLeast, atMost string, n int, least, most *int) {
	if least != nil && n < *least {
		k.fail(atLeast, strconv.Itoa(*least))
	}
	if most != nil && n > *most {
		k.fail(atMost, strconv.Itoa(*most))
	}
}

func (k *check) array(v []any) {
	n := k.n
	k.between("minItems", "maxItems", len(v), n.minItems, n.maxItems)
	for i, e := range v {
		switch {
		case i < len(n.prefixItems):
			k.part(n.prefixItems[i], e, strconv.Itoa(i))
			k.seen.item(i)
		case n.items != nil:
			k.part(n.items, e, strconv.Itoa(i))
			k.seen.item(i)
		}
	}
	k.contains(v)
	if n.uniqueItems {
		once := make(map[string]bool, len(v))
		for _, e := range v {
			text := canonicalText(e)
			k.c.work += 1 + len(text)/16
			if once[text] {
				k.fail("uniqueItems", "")
				break
			}
			once[text] = true
		}
	}
	if n.unevaluatedItems == nil {
		return
	}
	for i, e := range v {
		if !k.seen.allItems && !k.seen.items[i] {
			k.part(n.unevaluatedItems, e, strconv.Itoa(i))
		}
	}
	k.seen.allItems = true
}

func (k *check) contains(v []any) {
	if k.n.contains == nil {
		return
	}
	found := 0
	for i, e := range v {
		if reasons, _ := k.c.check(k.n.contains, e, k.place); len(reasons) == 0 {
			found++
			k.seen.item(i)
		}
	}
	least := 1
	if k.n.minContains != nil {
		least = *k.n.minContains
	}
	k.between("contains", "maxContains", found, &least, k.n.maxContains)
}

func (k *check) object(v map[string]any) {
	n := k.n
	k.between("minProperties", "maxProperties", len(v), n.minProperties, n.maxProperties)
	for _, name := range n.required {
		if _, has := v[name]; !has {
			k.fail("required", name)
		}
	}
	names := sortedNames(v)
	for _, name := range names {
		k.property(name, v[name])
	}
	for _, name := range sortedNames(n.dependentRequired) {
		if _, has := v[name]; !has {
			continue
		}
		for _, other := range n.dependentRequired[name] {
			if _, has := v[other]; !has {
				k.fail("dependentRequired", fmt.Sprintf("%s, which %s asks for", other, name))
			}
		}
	}
	for _, name := range sortedNames(n.dependentSchemas) {
		if _, has := v[name]; has {
			k.apply(n.dependentSchemas[name])
		}
	}
	if n.unevaluatedProperties == nil {
		return
	}
	for _, name := range names {
		if !k.seen.allProperties && !k.seen.properties[name] {
			k.part(n.unevaluatedProperties, v[name], "*")
		}
	}
	k.seen.allProperties = true
}

// property checks one property of an object.
func (k *check) property(name string, v any) {
	n, known := k.n, false
	if n.propertyNames != nil {
		reasons, _ := k.c.check(n.propertyNames, name, child(k.place, "*"))
		k.take(reasons)
	}
	if s, has := n.properties[name]; has {
		known = true
		k.part(s, v, name)
	}
	for _, p := range n.patternProperties {
		if k.c.matches(p.pattern, name) {
			known = true
			k.part(p.node, v, "*")
		}
	}
	if !known && n.additionalProperties != nil {
		known = true
		k.part(n.additionalProperties, v, "*")
	}
	if known {
		k.seen.property(name)
	}
}
