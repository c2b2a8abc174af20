package server

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
)

// TestEveryFieldOfMountsIsDescribed compares the type with its schema, so that
// a mount which is new to one is not forgotten in the other.
func TestEveryFieldOfMountsIsDescribed(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(openapiYAML)
	require.NoError(t, err)
	described(t, "mounts", reflect.TypeFor[bctrl.Mounts](), doc.Components.Schemas["Mounts"].Value)
}

// described compares the fields of a struct with the properties of a schema,
// and those of the structs in it.
func described(t *testing.T, path string, typ reflect.Type, schema *openapi3.Schema) {
	t.Helper()
	for i := range typ.NumField() {
		name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		property, ok := schema.Properties[name]
		require.True(t, ok, "%s.%s is not in openapi.yaml", path, name)
		if inner := typ.Field(i).Type; inner.Kind() == reflect.Pointer && inner.Elem().Kind() == reflect.Struct {
			described(t, path+"."+name, inner.Elem(), property.Value)
		}
	}
	require.Len(t, schema.Properties, typ.NumField(), "openapi.yaml has a field of %s that the type has not", path)
}

// TestARuntimeCanHaveEveryRightThatMountsGive reads the rights that the SDK says
// mounts decide about. One that access does not know is refused to all runtimes,
// whatever is mounted.
func TestARuntimeCanHaveEveryRightThatMountsGive(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", "explain.go"), nil, 0)
	require.NoError(t, err)
	rights := 0
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Verb" {
			right, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			require.True(t, access.ForRuntimes(access.Verb(right)), "no runtime can have %s", right)
			rights++
		}
		return true
	})
	require.GreaterOrEqual(t, rights, 10)
}
