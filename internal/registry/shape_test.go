package registry

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// compiledSchema is the schema that editors read.
func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile("provider.schema.json")
	require.NoError(t, err)
	return schema
}

func keepsSchema(t require.TestingT, schema *jsonschema.Schema, text []byte) bool {
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	require.NoError(t, err)
	return schema.Validate(value) == nil
}

// everyProvider is the text of each shipped file, and of one that has what none
// of them has.
func everyProvider(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob("providers/*.json")
	require.NoError(t, err)
	texts := []string{acme}
	for _, name := range names {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		texts = append(texts, string(text))
	}
	return texts
}

func TestEveryProviderKeepsTheSchema(t *testing.T) {
	schema := compiledSchema(t)
	for _, text := range everyProvider(t) {
		require.True(t, keepsSchema(t, schema, []byte(text)), text)
	}
}

// TestTheLoaderRefusesWhatTheSchemaRefuses changes one place of a provider at
// random. The one thing that the loader takes and the schema does not is an
// empty text, or false, where the field may be left out: both mean that it is.
func TestTheLoaderRefusesWhatTheSchemaRefuses(t *testing.T) {
	schema, texts := compiledSchema(t), everyProvider(t)
	replacements := []any{
		"a", "A", "*", "é", "a b", "none", "GET", "/", "/v1", "http://a.example", "https://a.example/?x", "{apiKey}",
		"a.example", "a.example:443",
		strings.Repeat("a", 201), strings.Repeat("a", 64), "A" + strings.Repeat("B", 128), strings.Repeat("{apiKey}", 200),
		[]any{}, []any{"a.example", "a.example"}, []any{"GET", "GET"}, []any{"apiKey", "apiKey"},
		map[string]any{}, 1, true, nil,
	}
	refused := 0
	rapid.Check(t, func(t *rapid.T) {
		var tree any
		require.NoError(t, json.Unmarshal([]byte(rapid.SampledFrom(texts).Draw(t, "provider")), &tree))
		mutate(t, tree, replacements)
		text, err := json.Marshal(tree)
		require.NoError(t, err)
		if keepsSchema(t, schema, text) {
			return
		}
		refused++
		_, err = decode(text)
		require.Error(t, err, "%s", text)
	})
	require.Positive(t, refused, "no change broke the schema")
}

// mutate removes, replaces or repeats one value below tree.
func mutate(t *rapid.T, tree any, replacements []any) {
	for {
		switch v := tree.(type) {
		case map[string]any:
			key := rapid.SampledFrom(sortedKeys(v)).Draw(t, "key")
			if deeper(v[key]) && rapid.IntRange(0, 3).Draw(t, "deeper") > 0 {
				tree = v[key]
				continue
			}
			switch rapid.SampledFrom([]string{"remove", "add", "replace"}).Draw(t, "change") {
			case "remove":
				delete(v, key)
			case "add":
				v["other"] = v[key]
			case "replace":
				v[key] = rapid.SampledFrom(replacements).Draw(t, "value")
			}
			return
		case []any:
			i := rapid.IntRange(0, len(v)-1).Draw(t, "index")
			if deeper(v[i]) && rapid.IntRange(0, 3).Draw(t, "deeper") > 0 {
				tree = v[i]
				continue
			}
			v[i] = rapid.SampledFrom(append(replacements, v[0])).Draw(t, "value")
			return
		}
	}
}

func deeper(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		return len(v) > 0
	case []any:
		return len(v) > 0
	}
	return false
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
