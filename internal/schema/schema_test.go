package schema_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	oracle "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl/internal/schema"
)

func TestWhatIsNoSchemaIsRefusedWithItsPlace(t *testing.T) {
	for _, c := range []struct{ why, text, place string }{
		{"nothing", ``, ""},
		{"no JSON", `{`, ""},
		{"two of them", `{} {}`, ""},
		{"a list", `[]`, ""},
		{"a string", `"object"`, ""},
		{"null", `null`, ""},
		{"a type that there is not", `{"type":"strnig"}`, "/type"},
		{"a type that is none", `{"type":{"a":1}}`, "/type"},
		{"no type", `{"type":[]}`, "/type"},
		{"properties in a list", `{"properties":["a"]}`, "/properties"},
		{"a property that is no schema", `{"properties":{"a":{"properties":{"b/c":3}}}}`, "/properties/a/properties/b~1c"},
		{"required in no list", `{"required":"a"}`, "/required"},
		{"a required number", `{"required":[1]}`, "/required"},
		{"an enum in no list", `{"enum":3}`, "/enum"},
		{"a length below 0", `{"minLength":-1}`, "/minLength"},
		{"half a length", `{"minItems":1.5}`, "/minItems"},
		{"a bound that is no number", `{"maximum":"3"}`, "/maximum"},
		{"a bound of a megabyte when written out", `{"maximum":1e999999}`, "/maximum"},
		{"a multiple of nothing", `{"multipleOf":0}`, "/multipleOf"},
		{"a pattern that is none", `{"pattern":"("}`, "/pattern"},
		{"a pattern that cannot be matched in linear time", `{"pattern":"(?=a)"}`, "/pattern"},
		{"a pattern of a program without end", `{"pattern":"` + strings.Repeat("a{1000}", 40) + `"}`, "/pattern"},
		{"a pattern without end", `{"pattern":"` + strings.Repeat("a", 2000) + `"}`, "/pattern"},
		{"an empty choice", `{"anyOf":[]}`, "/anyOf"},
		{"another document", `{"$ref":"https://example.com/schema.json"}`, "/$ref"},
		{"a file", `{"$ref":"file:///etc/passwd"}`, "/$ref"},
		{"a relative document", `{"$ref":"other.json#/a"}`, "/$ref"},
		{"a place that there is not", `{"$ref":"#/$defs/a"}`, "/$ref"},
		{"an anchor that there is not", `{"$ref":"#a"}`, "/$ref"},
		{"a place that is no schema", `{"$defs":{"a":{"enum":[3]}},"$ref":"#/$defs/a/enum/0"}`, "/$defs/a/enum/0"},
		{"itself", `{"$ref":"#"}`, ""},
		{"itself by way of another", `{"allOf":[{"$ref":"#/$defs/a"}],"$defs":{"a":{"not":{"$ref":"#"}}}}`, ""},
		{"who refers", `{"$dynamicRef":"#a"}`, "/$dynamicRef"},
		{"a draft of another time", `{"$schema":"http://json-schema.org/draft-03/schema#"}`, "/$schema"},
		{"a name inside", `{"properties":{"a":{"$id":"https://example.com/a"}}}`, "/properties/a/$id"},
		{"too much", `{"title":"` + strings.Repeat("x", schema.MaxBytes) + `"}`, ""},
		{"too deep", strings.Repeat(`{"not":`, 100) + `{}` + strings.Repeat(`}`, 100), ""},
	} {
		t.Run(c.why, func(t *testing.T) {
			_, err := schema.Compile([]byte(c.text))
			var refusal *schema.Error
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, c.place, refusal.Place)
			require.NotEmpty(t, refusal.Problem)
		})
	}
}

func TestReasonsNamePlaceAndKeyword(t *testing.T) {
	s := compiled(t, `{"type":"object","required":["rows","total"],"additionalProperties":false,"properties":{
		"rows":{"type":"array","minItems":3,"items":{"type":"object","required":["name"],"properties":{
			"name":{"type":"string","pattern":"^[A-Z]"},"price":{"anyOf":[{"type":"null"},{"type":"number","minimum":0}]}}}},
		"total":{"type":"integer"}}}`)
	var got []string
	for _, r := range s.Validate([]byte(`{"rows":[{"name":"x","price":-4},{"price":"4"}],"more":{"x":1}}`)) {
		got = append(got, r.String())
	}
	require.Equal(t, []string{
		"/: required (total)",
		"/*: false (nothing is permitted here)",
		"/rows: minItems (3)",
		"/rows/0/name: pattern",
		"/rows/0/price: anyOf (none holds)",
		"/rows/0/price: minimum (0)",
		"/rows/1: required (name)",
		"/rows/1/price: anyOf (none holds)",
	}, got)
	require.Empty(t, s.Validate([]byte(
		`{"rows":[{"name":"A"},{"name":"B","price":null},{"name":"C","price":4.5}],"total":3.0}`)))
}

func compiled(t require.TestingT, text string) *schema.Schema {
	s, err := schema.Compile([]byte(text))
	require.NoError(t, err)
	return s
}

// TestNoSchemaAndNoValueRunForEver takes what other validators never finish, or die of.
func TestNoSchemaAndNoValueRunForEver(t *testing.T) {
	twice := func(last string) string {
		var b strings.Builder
		b.WriteString(`{"$ref":"#/$defs/a0","$defs":{`)
		for i := range 60 {
			fmt.Fprintf(&b, `"a%d":{"allOf":[{"$ref":"#/$defs/a%d"},{"$ref":"#/$defs/a%d"}]},`, i, i+1, i+1)
		}
		return b.String() + `"a60":` + last + `}}`
	}
	deep := strings.Repeat("[", schema.MaxDepth-1) + strings.Repeat("]", schema.MaxDepth-1)
	long := `"` + strings.Repeat("a", 1<<20) + `"`
	for _, c := range []struct{ why, schema, value, keyword string }{
		{"each definition refers twice to the next", twice(`{"type":"integer"}`), `1`, "work"},
		{"the same with a choice", strings.ReplaceAll(twice(`false`), "allOf", "anyOf"), `1`, "work"},
		{"the value doubles the work at each level", `{"items":{"allOf":[{"$ref":"#"},{"$ref":"#"}]}}`, deep, "work"},
		{"a large pattern on a large text", `{"pattern":"(a|a|a|a|a)*(a?){200}b"}`, long, "work"},
		{"a value that is nested too deep", `{}`, strings.Repeat("[", 1000) + strings.Repeat("]", 1000), "JSON"},
		{"a number that takes all memory when written out", `{"multipleOf":3}`, `1e999999999`, "type"},
		{"no JSON", `{}`, `{"a":`, "JSON"},
	} {
		t.Run(c.why, func(t *testing.T) {
			reasons := compiled(t, c.schema).Validate([]byte(c.value))
			require.NotEmpty(t, reasons)
			require.Equal(t, c.keyword, reasons[len(reasons)-1].Keyword)
		})
	}
	recursive := compiled(t, `{"items":{"$ref":"#"}}`)
	require.Empty(t, recursive.Validate([]byte(deep)), "a schema may refer to itself for parts")
}

func TestAReasonNeverQuotesTheValue(t *testing.T) {
	const canary = "CANARY-7f3a"
	rapid.Check(t, func(rt *rapid.T) {
		text := schemaText(rt, 3)
		s, err := schema.Compile([]byte(text))
		if err != nil {
			rt.Fatalf("%s: %v", text, err)
		}
		inner := map[string]any{canary: 1, "a": canary}
		value := map[string]any{canary: canary, "a": []any{canary, inner}, "b": inner}
		raw, err := json.Marshal(value)
		if err != nil {
			rt.Fatal(err)
		}
		for _, r := range s.Validate(raw) {
			if strings.Contains(r.String(), canary) {
				rt.Fatalf("a reason of %s quotes the value", text)
			}
		}
	})
}

// TestVerdictsAreThoseOfAnotherValidator holds every verdict to a validator that was
// written separately.
func TestVerdictsAreThoseOfAnotherValidator(t *testing.T) {
	valid, invalid := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		text := schemaText(rt, 3)
		s, err := schema.Compile([]byte(text))
		if err != nil {
			rt.Fatalf("%s: %v", text, err)
		}
		theirs := oracleOf(rt, text)
		for range 8 {
			value := valueText(rt, 3)
			instance, err := oracle.UnmarshalJSON(strings.NewReader(value))
			if err != nil {
				rt.Fatal(err)
			}
			want := theirs.Validate(instance) == nil
			reasons := s.Validate([]byte(value))
			if want != (len(reasons) == 0) {
				rt.Fatalf("schema %s\nvalue %s\nwant valid %v, got %v", text, value, want, reasons)
			}
			if want {
				valid++
			} else {
				invalid++
			}
		}
	})
	require.Greater(t, valid, 50, "the values are to be of both kinds")
	require.Greater(t, invalid, 50)
}

func oracleOf(rt *rapid.T, text string) *oracle.Schema {
	document, err := oracle.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		rt.Fatal(err)
	}
	c := oracle.NewCompiler()
	if err := c.AddResource("mem:///schema.json", document); err != nil {
		rt.Fatalf("%s: %v", text, err)
	}
	s, err := c.Compile("mem:///schema.json")
	if err != nil {
		rt.Fatalf("%s: %v", text, err)
	}
	return s
}

// schemaText draws a schema of every keyword, with definitions that refer to parts.
func schemaText(rt *rapid.T, depth int) string {
	root, ok := drawnSchema(rt, depth).(map[string]any)
	if !ok {
		root = map[string]any{}
	}
	root["$defs"] = map[string]any{
		"leaf": drawnSchema(rt, 0),
		"list": map[string]any{
			"$anchor": "list", "items": map[string]any{"$ref": "#/$defs/leaf"}, "type": []any{"array", "string"},
		},
	}
	text, err := json.Marshal(root)
	if err != nil {
		rt.Fatal(err)
	}
	return string(text)
}

func drawnSchema(rt *rapid.T, depth int) any {
	if rapid.IntRange(0, 15).Draw(rt, "boolean") == 0 {
		return rapid.Bool().Draw(rt, "schema")
	}
	s := map[string]any{}
	small := func() int { return rapid.IntRange(0, 3).Draw(rt, "n") }
	name := func() string { return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "name") }
	sub := func() any { return drawnSchema(rt, depth-1) }
	subs := func() any {
		var all []any
		for range 1 + small() {
			all = append(all, sub())
		}
		return all
	}
	leaves := []string{
		"type", "types", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
		"minLength", "maxLength", "pattern", "minItems", "maxItems", "uniqueItems", "required", "minProperties",
		"maxProperties", "dependentRequired", "ref", "anchor",
	}
	branches := []string{
		"items", "prefixItems", "contains", "properties", "patternProperties", "additionalProperties", "propertyNames",
		"dependentSchemas", "allOf", "anyOf", "oneOf", "not", "if", "unevaluatedItems", "unevaluatedProperties",
	}
	types := []string{"null", "boolean", "object", "array", "number", "string", "integer"}
	for range rapid.IntRange(0, 3).Draw(rt, "keywords") {
		list := leaves
		if depth > 0 && rapid.Bool().Draw(rt, "branch") {
			list = branches
		}
		switch keyword := rapid.SampledFrom(list).Draw(rt, "keyword"); keyword {
		case "type":
			s["type"] = rapid.SampledFrom(types).Draw(rt, "type")
		case "types":
			s["type"] = []any{types[rapid.IntRange(0, 2).Draw(rt, "first")], types[3+small()]}
		case "enum":
			s["enum"] = []any{drawnValue(rt, 1), drawnValue(rt, 1)}
		case "const":
			s["const"] = drawnValue(rt, 1)
		case "multipleOf":
			s["multipleOf"] = rapid.SampledFrom([]any{json.Number("1"), json.Number("0.5"), json.Number("3")}).Draw(rt, "m")
		case "pattern":
			s["pattern"] = rapid.SampledFrom([]string{"^a", "b$", "a|b", "^.$"}).Draw(rt, "pattern")
		case "uniqueItems":
			s["uniqueItems"] = rapid.Bool().Draw(rt, "unique")
		case "required":
			s["required"] = []any{name()}
		case "dependentRequired":
			s["dependentRequired"] = map[string]any{name(): []any{name()}}
		case "ref":
			s["$ref"] = "#/$defs/leaf"
		case "anchor":
			s["$ref"] = "#list"
		case "prefixItems", "allOf", "anyOf", "oneOf":
			s[keyword] = subs()
		case "properties", "dependentSchemas":
			s[keyword] = map[string]any{name(): sub(), name(): sub()}
		case "patternProperties":
			s[keyword] = map[string]any{"^[ab]": sub()}
		case "contains":
			s["contains"], s["minContains"], s["maxContains"] = sub(), small(), small()
		case "if":
			s["if"], s["then"], s["else"] = sub(), sub(), sub()
		case "items", "additionalProperties", "propertyNames", "not", "unevaluatedItems", "unevaluatedProperties":
			s[keyword] = sub()
		default:
			s[keyword] = small()
		}
	}
	if depth == 0 { // the leaf of definitions refers to nothing, so that no schema refers to itself
		delete(s, "$ref")
	}
	return s
}

func valueText(rt *rapid.T, depth int) string {
	text, err := json.Marshal(drawnValue(rt, depth))
	if err != nil {
		rt.Fatal(err)
	}
	return string(text)
}

func drawnValue(rt *rapid.T, depth int) any {
	last := 9
	if depth == 0 {
		last = 6
	}
	switch rapid.IntRange(0, last).Draw(rt, "kind") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(rt, "bool")
	case 2, 3:
		numbers := []string{"0", "1", "1.0", "2", "3", "-1", "0.5", "1e1", "10", "2.5"}
		return json.Number(rapid.SampledFrom(numbers).Draw(rt, "number"))
	case 4, 5, 6:
		return rapid.SampledFrom([]string{"", "a", "b", "ab", "é", "aab"}).Draw(rt, "string")
	case 7:
		list := []any{}
		for range rapid.IntRange(0, 4).Draw(rt, "length") {
			list = append(list, drawnValue(rt, depth-1))
		}
		return list
	}
	object := map[string]any{}
	for range rapid.IntRange(0, 4).Draw(rt, "size") {
		object[rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(rt, "name")] = drawnValue(rt, depth-1)
	}
	return object
}

func TestASchemaSaysWhetherItCanStandInAnother(t *testing.T) {
	require.True(t, compiled(t, `{"type":"object","properties":{"a":{"type":"string"}}}`).SelfContained())
	for _, text := range []string{
		`{"$defs":{"a":{}}}`, `{"properties":{"a":{"$ref":"#"}}}`, `{"$id":"https://example.com/a"}`,
	} {
		require.False(t, compiled(t, text).SelfContained(), text)
	}
	require.JSONEq(t, `{"type":"null"}`, string(compiled(t, ` { "type" : "null" } `).Text()))
}

func TestEarlierDraftsAreRead(t *testing.T) {
	s := compiled(t, `{"$schema":"http://json-schema.org/draft-07/schema#","definitions":{"n":{"type":"integer"}},
		"properties":{"a":{"items":[{"$ref":"#/definitions/n"}],"additionalItems":false}},
		"dependencies":{"a":["b"],"c":{"required":["a"]}}}`)
	require.Empty(t, s.Validate([]byte(`{"a":[1],"b":0}`)))
	for _, value := range []string{`{"a":[1]}`, `{"a":["x"],"b":0}`, `{"a":[1,2],"b":0}`, `{"c":1}`} {
		require.NotEmpty(t, s.Validate([]byte(value)), value)
	}
}

func FuzzCompile(f *testing.F) {
	f.Add(`{"$ref":"#/$defs/a","$defs":{"a":{"type":"string"}}}`, `"x"`)
	f.Add(`{"items":{"$ref":"#"},"uniqueItems":true}`, `[[],[]]`)
	f.Fuzz(func(_ *testing.T, text, value string) {
		if s, err := schema.Compile([]byte(text)); err == nil {
			s.Validate([]byte(value))
		}
	})
}
