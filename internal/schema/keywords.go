package schema

import (
	"encoding/json"
	"math/big"
	"slices"
	"strconv"
)

// keywords reads the keywords of one schema. The first that is wrong is its error.
type keywords struct {
	c      *compiler
	n      *node
	place  string
	fields map[string]any
	err    error
}

func (k *keywords) fail(keyword, problem string) {
	if k.err == nil {
		k.err = &Error{child(k.place, keyword), problem}
	}
}

func (k *keywords) read() {
	k.core()
	k.values()
	k.applicators()
	k.arrays()
	k.objects()
}

// core reads what identifies and refers.
func (k *keywords) core() {
	for _, keyword := range []string{"$dynamicRef", "$recursiveRef"} {
		if _, has := k.fields[keyword]; has {
			k.fail(keyword, "references that depend on who refers are not known here: write $ref")
		}
	}
	for _, keyword := range []string{"$id", "$anchor", "$dynamicAnchor", "$schema", "$ref"} {
		if _, has := k.fields[keyword]; has {
			k.c.alone = false
		}
		k.text(keyword)
	}
	if _, has := k.fields["$id"]; has && k.place != "" {
		k.fail("$id", "a schema inside another has no name of its own here")
	}
	if dialect, has := k.text("$schema"); has && !slices.Contains([]string{
		"https://json-schema.org/draft/2020-12/schema", "https://json-schema.org/draft/2020-12/schema#",
		"https://json-schema.org/draft/2019-09/schema", "https://json-schema.org/draft/2019-09/schema#",
		"http://json-schema.org/draft-07/schema", "http://json-schema.org/draft-07/schema#",
	}, dialect) {
		k.fail("$schema", "the draft is not known here: write 2020-12, 2019-09 or draft-07")
	}
	for _, keyword := range []string{"$defs", "definitions"} {
		if _, has := k.fields[keyword]; has {
			k.c.alone = false
		}
		k.schemas(keyword)
	}
	if ref, has := k.text("$ref"); has && k.err == nil {
		k.n.ref, k.err = k.c.target(k.place, ref)
		if k.err == nil {
			k.n.inPlace = append(k.n.inPlace, k.n.ref)
		}
	}
}

// values reads what is said of a value alone.
func (k *keywords) values() {
	n := k.n
	if v, has := k.fields["type"]; has {
		list, isList := v.([]any)
		if !isList {
			list = []any{v}
		}
		for _, e := range list {
			name, _ := e.(string)
			if !slices.Contains([]string{"null", "boolean", "object", "array", "number", "string", "integer"}, name) {
				k.fail("type", "a type is null, boolean, object, array, number, string or integer")
			}
			n.types = append(n.types, name)
		}
		if len(list) == 0 {
			k.fail("type", "there is no type")
		}
	}
	if v, has := k.fields["enum"]; has {
		list, isList := v.([]any)
		if !isList {
			k.fail("enum", "this is no array")
		}
		n.enum = make(map[string]bool, len(list))
		for _, e := range list {
			n.enum[canonicalText(e)] = true
		}
	}
	if v, has := k.fields["const"]; has {
		text := canonicalText(v)
		n.constant = &text
	}
	n.multipleOf = k.number("multipleOf")
	if n.multipleOf != nil && n.multipleOf.Sign() <= 0 {
		k.fail("multipleOf", "this is not above 0")
	}
	n.minimum, n.maximum = k.number("minimum"), k.number("maximum")
	n.exclusiveMinimum, n.exclusiveMax = k.number("exclusiveMinimum"), k.number("exclusiveMaximum")
	n.minLength, n.maxLength = k.count("minLength"), k.count("maxLength")
	if text, has := k.text("pattern"); has {
		var problem string
		if n.pattern, problem = newPattern(text); problem != "" {
			k.fail("pattern", problem)
		}
	}
	for _, annotation := range []string{"title", "description", "format"} {
		k.text(annotation)
	}
}

// applicators reads what applies schemas to the same value.
func (k *keywords) applicators() {
	n := k.n
	n.allOf, n.anyOf, n.oneOf = k.list("allOf"), k.list("anyOf"), k.list("oneOf")
	n.not, n.ifs, n.then, n.otherwise = k.schema("not"), k.schema("if"), k.schema("then"), k.schema("else")
	n.inPlace = slices.Concat(n.inPlace, n.allOf, n.anyOf, n.oneOf)
	for _, one := range []*node{n.not, n.ifs, n.then, n.otherwise} {
		if one != nil {
			n.inPlace = append(n.inPlace, one)
		}
	}
}

func (k *keywords) arrays() {
	n := k.n
	n.prefixItems = k.list("prefixItems")
	if _, isList := k.fields["items"].([]any); isList { // before 2020-12
		n.prefixItems, n.items = k.list("items"), k.schema("additionalItems")
	} else {
		n.items = k.schema("items")
	}
	n.contains, n.unevaluatedItems = k.schema("contains"), k.schema("unevaluatedItems")
	n.minItems, n.maxItems = k.count("minItems"), k.count("maxItems")
	n.minContains, n.maxContains = k.count("minContains"), k.count("maxContains")
	if v, has := k.fields["uniqueItems"]; has {
		unique, isBool := v.(bool)
		if n.uniqueItems = unique; !isBool {
			k.fail("uniqueItems", "this is not true or false")
		}
	}
}

func (k *keywords) objects() {
	n := k.n
	n.properties = k.schemas("properties")
	patterns := k.schemas("patternProperties")
	for _, text := range sortedNames(patterns) {
		p, problem := newPattern(text)
		if problem != "" {
			k.fail("patternProperties", problem)
		}
		n.patternProperties = append(n.patternProperties, patternNode{p, patterns[text]})
	}
	n.additionalProperties, n.propertyNames = k.schema("additionalProperties"), k.schema("propertyNames")
	n.unevaluatedProperties = k.schema("unevaluatedProperties")
	n.minProperties, n.maxProperties = k.count("minProperties"), k.count("maxProperties")
	if v, has := k.fields["required"]; has {
		n.required = k.names("required", v)
	}
	n.dependentSchemas = k.schemas("dependentSchemas")
	n.dependentRequired = make(map[string][]string)
	for _, keyword := range []string{"dependentRequired", "dependencies"} { // the latter before 2019-09
		fields, isObject := k.fields[keyword].(map[string]any)
		if _, has := k.fields[keyword]; has && !isObject {
			k.fail(keyword, "this is no object")
		}
		for _, name := range sortedNames(fields) {
			if _, isList := fields[name].([]any); isList || keyword == "dependentRequired" {
				n.dependentRequired[name] = append(n.dependentRequired[name], k.names(keyword, fields[name])...)
				continue
			}
			if n.dependentSchemas == nil {
				n.dependentSchemas = make(map[string]*node)
			}
			n.dependentSchemas[name] = k.at(child(child(k.place, keyword), name), fields[name])
		}
	}
	for _, name := range sortedNames(n.dependentSchemas) {
		if s := n.dependentSchemas[name]; s != nil {
			n.inPlace = append(n.inPlace, s)
		}
	}
}

func (k *keywords) text(keyword string) (text string, has bool) {
	v, has := k.fields[keyword]
	text, isText := v.(string)
	if has && !isText {
		k.fail(keyword, "this is no string")
	}
	return text, has && isText
}

func (k *keywords) number(keyword string) *big.Rat {
	v, has := k.fields[keyword]
	if !has {
		return nil
	}
	n, isNumber := v.(json.Number)
	r, ok := number(n)
	if !isNumber || !ok {
		k.fail(keyword, "this is no number, or too large")
		return nil
	}
	return r
}

func (k *keywords) count(keyword string) *int {
	r := k.number(keyword)
	if r == nil {
		return nil
	}
	if !r.IsInt() || r.Sign() < 0 {
		k.fail(keyword, "this is not 0 or a whole number above")
		return nil
	}
	n := int(1<<31 - 1)
	if r.Num().IsInt64() && r.Num().Int64() < int64(n) {
		n = int(r.Num().Int64())
	}
	return &n
}

func (k *keywords) names(keyword string, v any) (names []string) {
	list, isList := v.([]any)
	if !isList {
		k.fail(keyword, "this is no array of names")
	}
	for _, e := range list {
		name, isText := e.(string)
		if !isText {
			k.fail(keyword, "this is no array of names")
		}
		names = append(names, name)
	}
	return names
}

// at is the schema at a place; nil after an error.
func (k *keywords) at(place string, v any) *node {
	if k.err != nil {
		return nil
	}
	n, err := k.c.node(place, v)
	k.err = err
	return n
}

func (k *keywords) schema(keyword string) *node {
	v, has := k.fields[keyword]
	if !has {
		return nil
	}
	return k.at(child(k.place, keyword), v)
}

func (k *keywords) list(keyword string) (nodes []*node) {
	v, has := k.fields[keyword]
	if !has {
		return nil
	}
	list, isList := v.([]any)
	if !isList || len(list) == 0 && keyword != "items" {
		k.fail(keyword, "this is no array of schemas")
	}
	for i, e := range list {
		nodes = append(nodes, k.at(child(child(k.place, keyword), strconv.Itoa(i)), e))
	}
	return nodes
}

func (k *keywords) schemas(keyword string) map[string]*node {
	v, has := k.fields[keyword]
	if !has {
		return nil
	}
	fields, isObject := v.(map[string]any)
	if !isObject {
		k.fail(keyword, "this is no object of schemas")
	}
	nodes := make(map[string]*node, len(fields))
	for _, name := range sortedNames(fields) {
		nodes[name] = k.at(child(child(k.place, keyword), name), fields[name])
	}
	return nodes
}
