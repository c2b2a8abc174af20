package extract

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/strictjson"
)

// URL is an absolute address: "https://crm.example/deals/1". Where a page has a relative
// one, [Into] resolves it.
type URL string

// Parse returns the parts of the address.
func (u URL) Parse() (*url.URL, error) { return url.Parse(string(u)) }

// Option changes one [Into]: a [bctrl.ExtractOptions] without a schema, or a
// [bctrl.CallOption].
type Option = bctrl.ExtractCallOption

// TruncatedError is the error of an [Into] whose page holds more than was read: the value
// beside it lacks what was not. More of the page is read with
// [bctrl.ExtractOptions.MaxPageTokens].
type TruncatedError struct {
	// URL is the page's address, without query and fragment.
	URL string
}

// Error says that the page was cut.
func (t *TruncatedError) Error() string {
	return "extract: the page holds more than was read: raise MaxPageTokens"
}

// Into has the runtime's agent read from its page what the instruction says, and returns
// it as a T. Of a page that is longer than what was read the value comes with a
// [*TruncatedError]; beside any other error it is the zero T.
//
// A T that has no schema is refused with the code "extract.unsupported_type", and a
// schema among the options with "extract.two_schemas", before anything is sent.
//
// Access: runtime.execute
func Into[T any](ctx context.Context, rt *bctrl.Runtime, instruction string, opts ...Option) (T, error) {
	var value T
	form, err := formOf[T]()
	if err != nil {
		return value, err
	}
	all, err := form.options(opts)
	if err != nil {
		return value, err
	}
	result, err := rt.Stagehand.Extract(ctx, instruction, all...)
	if err != nil {
		return value, err
	}
	if err := form.decode(result, &value); err != nil {
		var zero T
		return zero, err
	}
	if result.Truncated {
		err = &TruncatedError{URL: result.URL}
	}
	return value, err
}

// form is what a T looks like as JSON.
type form struct {
	// schema describes the answer, which is an object. Where T is none, it holds T
	// in wrapped.
	schema  *jsonschema.Schema
	wrapped bool
}

// wrapper is the name under which an answer holds what is no object by itself.
const wrapper = "value"

// options are the options of the call, with the schema.
func (f form) options(opts []Option) ([]Option, error) {
	text, err := json.Marshal(f.schema)
	if err != nil {
		return nil, unsupported(err)
	}
	own := bctrl.ExtractOptions{}
	var all []Option
	for _, o := range opts {
		given, ok := o.(bctrl.ExtractOptions)
		if !ok {
			all = append(all, o)
			continue
		}
		if len(given.Schema) > 0 {
			return nil, refusal("extract.two_schemas", "schema", "there is a schema beside the Go type",
				"leave it out, or use Stagehand.Extract")
		}
		own = given
	}
	own.Schema = text
	return append(all, own), nil
}

// decode reads a result as strictly as its schema says: no field is unknown, twice there
// or in another case, none that is required is missing, numbers keep their digits.
func (f form) decode(result *bctrl.ExtractResult, into any) error {
	base, err := url.Parse(result.URL)
	if err != nil {
		base = &url.URL{}
	}
	var text json.RawMessage
	if err := strictjson.Unmarshal(result.Data, &text); err != nil {
		return answerRefused(err)
	}
	var free any
	decoder := json.NewDecoder(bytes.NewReader(result.Data))
	decoder.UseNumber()
	if err := decoder.Decode(&free); err != nil {
		return answerRefused(err)
	}
	r := reader{base: base}
	free, err = r.read(f.schema, free, "data")
	if err != nil {
		return err
	}
	if f.wrapped {
		free = free.(map[string]any)[wrapper] // the schema requires it
	}
	if text, err = json.Marshal(free); err != nil {
		return answerRefused(err)
	}
	decoder = json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber() // for what has no Go type
	if err := decoder.Decode(into); err != nil {
		return answerRefused(err)
	}
	return nil
}

func refusal(code, field, message, hint string) *bctrl.Error {
	return &bctrl.Error{
		Status:  http.StatusBadRequest,
		Code:    code,
		Field:   field,
		Message: message,
		Hint:    hint,
	}
}

// answerRefused is the refusal of data that is no T. It says where, and never what.
func answerRefused(err error) *bctrl.Error {
	e := &bctrl.Error{Status: http.StatusBadGateway, Code: "extract.invalid_answer", Field: "data",
		Message: "the data is not of the Go type"}
	if strict, ok := errors.AsType[*strictjson.Error](err); ok {
		e.Message += ": " + strict.Code
		if strict.Field != "" {
			e.Field += "." + strict.Field
		}
	}
	if typed, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		e.Message += ": a value cannot be a " + typed.Type.String()
		e.Field = strings.TrimSuffix(e.Field+"."+typed.Field, ".")
	}
	return e
}
