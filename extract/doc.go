// Package extract reads data from a runtime's page into a Go type.
//
//	type Deal struct {
//		Name   string      `json:"name"`
//		Amount json.Number `json:"amount" jsonschema:"in dollars, without the sign"`
//		Closes *time.Time  `json:"closes"`
//		Link   extract.URL `json:"link"`
//	}
//	deals, err := extract.Into[[]Deal](ctx, rt, "the open deals")
//
// The model is given a JSON Schema that is made from the type, and the server holds its
// answer to it: see [bctrl.Stagehand.Extract]. The package stands beside the SDK's own
// so that its users alone link what makes schemas.
//
// # Types
//
// Strings, booleans, numbers, structs, slices, arrays, maps with string keys, pointers,
// time.Time and types that read themselves from text, such as netip.Addr. A field is
// called what encoding/json calls it, and its jsonschema tag tells the model what it is
// for.
//
// A field that is no pointer is required: the page has to hold it, or the model is told
// so and the call fails with "extract.invalid_answer". A pointer is nil where the page
// does not hold it; so is a field tagged omitempty or omitzero, which keeps its zero.
//
// Numbers are exact: an int64 keeps all its digits, and [json.Number] those of any
// decimal; it is also what a number is inside an any. A time is in the form of RFC 3339.
//
// Links come back absolute: fields of type [URL], and strings tagged format:"uri". A
// relative one is resolved against the page's address.
//
// A type that JSON cannot hold or no schema can describe is refused with
// "extract.unsupported_type" before anything is sent: channels, functions, complex
// numbers, interfaces with methods, types that contain themselves.
package extract
