package bctrl

import (
	"go/ast"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// accessRights are the rights that a method may name; the server names the
// same for its routes.
func accessRights() []string {
	return strings.Fields(`ai.read ai.write ai.use vault.readRaw vault.write vault.use vault.list
		storage.get storage.put storage.delete storage.list storage.sign workspace.read workspace.write
		runtime.launch runtime.list runtime.read runtime.stop runtime.connect runtime.disconnect runtime.execute
		runtime.save_profile operation.read operation.cancel profile.read profile.write profile.export token.write
		self.read subaccount.read subaccount.write
		audit.read credential.read credential.write capability.read capability.write capability.invoke
		binding.read binding.write secret.read secret.write
		node.list node.drain seal.read seal.write webhook.read webhook.write`)
}

// exported is a function or a method that a caller of the package can reach.
type exported struct {
	name, example string
	decl          *ast.FuncDecl
}

func exportedFuncs(t *testing.T) []exported {
	t.Helper()
	var out []exported
	for _, f := range sources(t) {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || !fn.Name.IsExported() {
				continue
			}
			if fn.Recv == nil {
				out = append(out, exported{fn.Name.Name, "Example" + fn.Name.Name, fn})
				continue
			}
			if recv := receiver(fn); ast.IsExported(recv) {
				out = append(out, exported{recv + "." + fn.Name.Name, "Example" + recv + "_" + fn.Name.Name, fn})
			}
		}
	}
	require.Greater(t, len(out), 100, "the source was found")
	return out
}

func receiver(fn *ast.FuncDecl) string {
	e := fn.Recv.List[0].Type
	if star, ok := e.(*ast.StarExpr); ok {
		e = star.X
	}
	if id, ok := e.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

// called by fmt, log/slog, encoding/json and errors, not by people: the
// example of their type shows them.
func called(method string) bool {
	switch method {
	case "String", "GoString", "Format", "LogValue", "Error", "Is", "Unwrap", "MarshalJSON", "UnmarshalJSON",
		"MarshalText", "UnmarshalText":
		return true
	}
	return false
}

func TestEveryFunctionHasAnExampleThatRuns(t *testing.T) {
	examples := map[string]bool{}
	for _, f := range parsed(t, func(name string) bool { return strings.HasSuffix(name, "_test.go") }) {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(fn.Name.Name, "Example") {
				continue
			}
			examples[exampleOf(fn.Name.Name)] = true
			require.True(t, runs(f, fn), "%s: without an Output comment it is compiled and never run", fn.Name.Name)
		}
	}
	for _, e := range exportedFuncs(t) {
		if e.decl.Recv != nil && called(e.decl.Name.Name) {
			recv := receiver(e.decl)
			require.True(t, shown(examples, recv), "%s: no example of %s", e.name, recv)
			continue
		}
		require.True(t, examples[e.example], "%s needs %s", e.name, e.example)
	}
}

// exampleOf drops the suffix by which several examples of one thing differ.
func exampleOf(name string) string {
	return regexp.MustCompile(`_[a-z].*$`).ReplaceAllString(name, "")
}

// shown reports whether a type or one of its methods has an example.
func shown(examples map[string]bool, typ string) bool {
	for name := range examples {
		if name == "Example"+typ || strings.HasPrefix(name, "Example"+typ+"_") || name == "ExampleNew"+typ {
			return true
		}
	}
	return false
}

func runs(f *ast.File, fn *ast.FuncDecl) bool {
	for _, c := range f.Comments {
		if c.Pos() > fn.Body.Pos() && c.End() < fn.Body.End() &&
			regexp.MustCompile(`(?i)^(unordered )?output:`).MatchString(c.Text()) {
			return true
		}
	}
	return false
}

func TestEveryMethodThatSendsNamesTheRightItNeeds(t *testing.T) {
	rights := accessRights()
	sending := 0
	for _, e := range exportedFuncs(t) {
		params := e.decl.Type.Params.List
		if e.decl.Recv == nil || len(params) == 0 || !isContext(params[0].Type) {
			continue
		}
		sending++
		lines := strings.Split(strings.TrimSpace(e.decl.Doc.Text()), "\n")
		right, ok := strings.CutPrefix(lines[len(lines)-1], "Access: ")
		require.True(t, ok, "%s: its comment does not end in an Access line", e.name)
		if e.name == "Client.Do" {
			continue // as its route says
		}
		require.Contains(t, rights, right, e.name)
	}
	require.Greater(t, sending, 60)
}

func isContext(e ast.Expr) bool {
	sel, ok := e.(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "Context"
}

func TestEveryExportedNameIsDocumented(t *testing.T) {
	for _, e := range exportedFuncs(t) {
		require.NotEmpty(t, e.decl.Doc.Text(), e.name)
	}
	for file, f := range sources(t) {
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, s := range g.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					require.True(t, !s.Name.IsExported() || g.Doc.Text()+s.Doc.Text() != "", "%s: %s", file, s.Name)
				case *ast.ValueSpec:
					require.True(t, !s.Names[0].IsExported() || g.Doc.Text()+s.Doc.Text()+s.Comment.Text() != "", "%s: %s", file,
						s.Names[0])
				}
			}
		}
	}
}
