package extract_test

import (
	"encoding/json"
	"errors"
	"math/big"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/extract"
)

// into extracts a T from a page with that address and data.
func into[T any](t *testing.T, address, data string, opts ...extract.Option) (T, *page, error) {
	t.Helper()
	p := &page{url: address, data: data}
	rt, err := p.runtime()
	require.NoError(t, err)
	value, err := extract.Into[T](t.Context(), rt, "the deals", opts...)
	return value, p, err
}

type contact struct {
	Email string `json:"email" format:"uri"`
}

type deal struct {
	contact
	Name     string         `json:"name" jsonschema:"as the list writes it"`
	Amount   json.Number    `json:"amount"`
	Cents    int64          `json:"cents"`
	Closes   *time.Time     `json:"closes"`
	Link     extract.URL    `json:"link"`
	Files    []string       `json:"files" format:"uri"`
	Notes    string         `json:"notes,omitempty"`
	Tags     map[string]int `json:"tags"`
	Host     netip.Addr     `json:"host"`
	Free     any            `json:"free"`
	Internal string         `json:"-"`
}

func TestTheSchemaSaysWhatTheTypeDoes(t *testing.T) {
	_, p, err := into[deal](t, "https://crm.example/", `{}`)
	require.Error(t, err)
	require.JSONEq(t, `{"type":"object","additionalProperties":false,
		"required":["email","name","amount","cents","closes","link","files","tags","host","free"],
		"properties":{
			"email":{"type":"string","format":"uri"},
			"name":{"type":"string","description":"as the list writes it"},
			"amount":{"type":"number"},
			"cents":{"type":"integer"},
			"closes":{"type":["null","string"],"format":"date-time"},
			"link":{"type":"string","format":"uri"},
			"files":{"type":"array","items":{"type":"string","format":"uri"}},
			"notes":{"type":"string"},
			"tags":{"type":"object","additionalProperties":{"type":"integer"}},
			"host":{"type":"string"},
			"free":true}}`, p.schemaOf(t))

	for _, c := range []struct {
		why    string
		schema func(t *testing.T) string
		want   string
	}{
		{"a list is no object", sent[[]string], `{"type":"array","items":{"type":"string"}}`},
		{"a number is no object", sent[int], `{"type":"integer"}`},
		{"bytes are base64", sent[[]byte], `{"type":"string","contentEncoding":"base64"}`},
		{"a type that reads text", sent[uuid.UUID], `{"type":"string"}`},
		{"a large integer", sent[big.Int], `{"type":"integer"}`},
		{"anything", sent[any], `true`},
		{"a pointer may be null", sent[*bool], `{"type":["null","boolean"]}`},
	} {
		require.JSONEq(t, `{"type":"object","additionalProperties":false,"required":["value"],"properties":{"value":`+
			c.want+`}}`, c.schema(t), c.why)
	}
}

func sent[T any](t *testing.T) string {
	t.Helper()
	_, p, err := into[T](t, "https://crm.example/", `{}`)
	require.Error(t, err, "nothing was found")
	return p.schemaOf(t)
}

func TestEveryFieldArrivesAsThePageHasIt(t *testing.T) {
	got, _, err := into[deal](t, "https://crm.example/deals/open", `{"email":"mailto:a@acme.example","name":"Acme",
		"amount":12345678901234567890.10,"cents":9007199254740993,"closes":"2026-01-02T03:04:05Z","link":"1?tab=a#b",
		"files":["/files/a.pdf","//cdn.example/b.pdf","https://other.example/c.pdf",""],"tags":{"a":1.0},"host":"::1",
		"free":9007199254740993}`)
	require.NoError(t, err)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	require.Equal(t, deal{
		contact: contact{"mailto:a@acme.example"},
		Name:    "Acme",
		Amount:  "12345678901234567890.10",
		Cents:   9007199254740993,
		Closes:  &at,
		Link:    "https://crm.example/deals/1?tab=a#b",
		Files:   []string{"https://crm.example/files/a.pdf", "https://cdn.example/b.pdf", "https://other.example/c.pdf", ""},
		Tags:    map[string]int{"a": 1},
		Host:    netip.MustParseAddr("::1"),
		Free:    json.Number("9007199254740993"),
	}, got)
	parts, err := got.Link.Parse()
	require.NoError(t, err)
	require.Equal(t, "crm.example", parts.Host)

	list, _, err := into[[]*string](t, "https://crm.example/", `{"value":["a",null]}`)
	require.NoError(t, err)
	require.Equal(t, []*string{new("a"), nil}, list)
}

func TestDataThatIsNotOfTheTypeIsRefusedWithItsPlace(t *testing.T) {
	type row struct {
		Name  string `json:"name"`
		Count uint8  `json:"count"`
		Link  string `json:"link,omitempty" format:"uri"`
	}
	for _, c := range []struct{ why, data, field string }{
		{"no object", `[]`, "data"},
		{"not the rows", `{"rows":[]}`, "data.value"},
		{"null for the list", `{"value":null}`, "data.value"},
		{"a field is missing", `{"value":[{"name":"canary"}]}`, "data.value[0].count"},
		{"null for text", `{"value":[{"name":null,"count":1}]}`, "data.value[0].name"},
		{"another type", `{"value":[{"name":"canary","count":1},{"name":7,"count":1}]}`, "data.value[1].name"},
		{"a field too many", `{"value":[{"name":"canary","count":1,"canary":2}]}`, "data.value[0]"},
		{"in another case", `{"value":[{"name":"canary","count":1,"NAME":"b"}]}`, "data.value[0]"},
		{"twice", `{"value":[{"name":"canary","name":"b","count":1}]}`, "data.value[0].name"},
		{"too large for the type", `{"value":[{"name":"canary","count":256}]}`, "data.count"},
		{"a fraction", `{"value":[{"name":"canary","count":1.5}]}`, "data.value[0].count"},
		{"a number of many digits", `{"value":[{"name":"canary","count":1e999999999}]}`, "data.value[0].count"},
		{"a tiny number", `{"value":[{"name":"canary","count":1e-999999999}]}`, "data.value[0].count"},
		{"no address", `{"value":[{"name":"canary","count":1,"link":"http://[canary"}]}`, "data.value[0].link"},
	} {
		got, _, err := into[[]row](t, "https://crm.example/", c.data)
		var e *bctrl.Error
		require.ErrorAs(t, err, &e, c.why)
		require.Equal(t, "extract.invalid_answer", e.Code, c.why)
		require.Equal(t, c.field, e.Field, c.why)
		require.NotContains(t, err.Error(), "canary", c.why)
		require.Nil(t, got, c.why)
	}
}

type node struct {
	Next *node `json:"next"`
}

type embedsPointer struct{ *contact }

func TestATypeWithoutASchemaIsRefusedBeforeAnythingIsSent(t *testing.T) {
	type in[T any] struct {
		A []struct {
			B map[string]T `json:"b"`
		} `json:"a"`
	}
	for _, c := range []struct {
		why   string
		try   func(t *testing.T) (*page, error)
		field string
	}{
		{"a channel", tried[in[chan int]], ".A[].B[]"},
		{"a function", tried[in[func()]], ".A[].B[]"},
		{"a complex number", tried[in[complex128]], ".A[].B[]"},
		{"an interface with methods", tried[in[error]], ".A[].B[]"},
		{"a map by numbers", tried[in[map[int]string]], ".A[].B[]"},
		{"a type that contains itself", tried[node], ".Next"},
		{"the standard library's URL", tried[in[url.URL]], ".A[].B[]"},
		{"a number in quotes", tried[struct {
			A int `json:"a,string"`
		}], ".A"},
		{"a link that is a number", tried[struct {
			A int `format:"uri"`
		}], ".A"},
		{"a pointer that is embedded", tried[embedsPointer], ".contact"},
		{"a tag of no text", tried[struct {
			A int `jsonschema:""`
		}], ""},
	} {
		p, err := c.try(t)
		var e *bctrl.Error
		require.ErrorAs(t, err, &e, c.why)
		require.Equal(t, "extract.unsupported_type", e.Code, c.why)
		require.ErrorIs(t, err, bctrl.ErrInvalid, c.why)
		require.True(t, strings.HasSuffix(e.Field, c.field), "%s: %s", c.why, e.Field)
		require.Empty(t, p.asked, c.why)
	}
}

func tried[T any](t *testing.T) (*page, error) {
	t.Helper()
	_, p, err := into[T](t, "https://crm.example/", `{}`)
	return p, err
}

func TestOptionsOfTheCallAreSentAndASecondSchemaIsRefused(t *testing.T) {
	_, p, err := into[int](t, "https://crm.example/", `{"value":3}`, bctrl.WithIdempotencyKey("k"),
		bctrl.ExtractOptions{Credential: "prod", MaxPageTokens: 9000, Timeout: time.Minute})
	require.NoError(t, err)
	require.Contains(t, p.asked, `"maxPageTokens":9000`)
	require.Contains(t, p.asked, `"timeoutMs":60000`)

	_, p, err = into[int](t, "https://crm.example/", `{"value":3}`, bctrl.ExtractOptions{Schema: []byte(`{}`)})
	var e *bctrl.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "extract.two_schemas", e.Code)
	require.Empty(t, p.asked)

	_, p, err = into[int](t, "https://crm.example/", `{"value":3}`, bctrl.ExtractOptions{Credential: "other"})
	require.ErrorIs(t, err, bctrl.ErrOutsideMount)
	require.Empty(t, p.asked)
}

func TestAPageThatWasCutIsNeverASilentGap(t *testing.T) {
	p := &page{url: "https://crm.example/", data: `{"value":["a"]}`, truncated: true}
	rt, err := p.runtime()
	require.NoError(t, err)
	got, err := extract.Into[[]string](t.Context(), rt, "the names")
	cut, ok := errors.AsType[*extract.TruncatedError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, "https://crm.example/", cut.URL)
	require.Equal(t, []string{"a"}, got)
}

// TestWhatIsExtractedIsWhatThePageHolds holds for any rows: they arrive as they are.
func TestWhatIsExtractedIsWhatThePageHolds(t *testing.T) {
	type row struct {
		Name string             `json:"name"`
		ID   int64              `json:"id"`
		Of   map[string]*uint64 `json:"of"`
	}
	rapid.Check(t, func(rt *rapid.T) {
		rows := rapid.SliceOf(rapid.Custom(func(rt *rapid.T) row {
			return row{
				Name: rapid.String().Draw(rt, "name"),
				ID:   rapid.Int64().Draw(rt, "id"),
				Of:   rapid.MapOf(rapid.StringMatching(`[a-z]{1,3}`), rapid.Ptr(rapid.Uint64(), true)).Draw(rt, "of"),
			}
		})).Draw(rt, "rows")
		data, err := json.Marshal(map[string]any{"value": append([]row{}, rows...)})
		require.NoError(rt, err)
		got, _, err := into[[]row](t, "https://crm.example/", string(data))
		require.NoError(rt, err)
		require.Equal(rt, append([]row{}, rows...), got)
	})
}
