package broker

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl/internal/sample"
)

// server is one that reads a path in its own way.
type server struct {
	// decodings is how often it decodes before it looks for slashes, and after.
	before, after int
	// parameters are cut off where it knows them; merges is set where it takes
	// several slashes for one; query where it looks for a question mark once it
	// has decoded.
	parameters, merges, query bool
}

// servers are all that there are of these.
func servers() (all []server) {
	for before := range 4 {
		for after := range 4 {
			for _, parameters := range []bool{false, true} {
				for _, merges := range []bool{false, true} {
					for _, query := range []bool{false, true} {
						if before+after > 0 {
							all = append(all, server{
								before:     before,
								after:      after,
								parameters: parameters,
								merges:     merges,
								query:      query,
							})
						}
					}
				}
			}
		}
	}
	return all
}

var escape = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// decodeLeniently leaves alone what is no escape, as browsers and many servers
// do.
func decodeLeniently(text string) string {
	return escape.ReplaceAllStringFunc(text, func(e string) string {
		plain, err := url.PathUnescape(e)
		if err != nil {
			panic(err)
		}
		return plain
	})
}

// resolve is what a server takes a path for: the segments of the resource.
func (s server) resolve(path string) (stack []string) {
	for range s.before {
		path = decodeLeniently(path)
	}
	for _, segment := range strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == '\\' && s.merges }) {
		for range s.after {
			segment = decodeLeniently(segment)
		}
		ends := false
		if s.query {
			segment, _, ends = strings.Cut(segment, "?")
		}
		if s.parameters {
			segment, _, _ = strings.Cut(segment, ";")
		}
		switch segment {
		case "":
			if !s.parameters && !ends {
				stack = append(stack, "")
			}
		case ".":
		case "..":
			stack = stack[:max(len(stack)-1, 0)]
		default:
			stack = append(stack, segment)
		}
		if ends {
			return stack
		}
	}
	return stack
}

// TestNoPathLeavesWhatIsPermitted has servers of many kinds read what is
// admitted: for each of them it is at or below a prefix.
func TestNoPathLeavesWhatIsPermitted(t *testing.T) {
	rule := Rule{Methods: []string{"GET"}, Paths: []string{"/a/b", "/v/{x}/c", "/w/{x}/{y}/c", "/v/a/b"}}
	shapes := [][]string{{"a", "b"}, {"v", "", "c"}, {"w", "", "", "c"}, {"v", "a", "b"}}
	pieces := []string{
		"/", "/", "/", "/", "/a", "/b", "/c", "/c", "a", "b", "c", "%2F", ";x", "%2Fc", "v", ".", "..", "%2e", "%2E%2e",
		"%2f", "%2F", "%25", "%252f", "%252e", "2e", "2f", "5c", `\`, "%5c", ";", ";x", "//", "%09",
		"\t", "%00", "%61", "%2561", "+", "%20", "%c0%af", "%ef%bc%8f", "%3B", "%253b", "%C3%A9", "%3F", "%253f",
	}
	starts := []string{"/a/b", "/v/", "/w/", "/v/x/c", "/v/x%3F/c", "/w/a/b/c", "/"}
	all := servers()
	escaped, paths := 0, sample.Number(4, 200)
	rapid.Check(t, func(t *rapid.T) {
		for range paths {
			path := rapid.SampledFrom(starts).Draw(t, "start") +
				strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 6).Draw(t, "pieces"), "")
			if _, err := rule.Match("GET", path); err != nil {
				continue
			}
			if strings.Contains(path, "%2") {
				escaped++
			}
			for _, s := range all {
				require.True(t, within(s.resolve(path), shapes), "%s is read as %q by %+v", path, s.resolve(path), s)
			}
		}
	})
	require.Positive(t, escaped, "no path with an escape was admitted")
}

// within reports whether a resource is at or below one of shapes, in which "" is
// any segment.
func within(resource []string, shapes [][]string) bool {
	for _, shape := range shapes {
		if len(resource) < len(shape) {
			continue
		}
		fits := true
		for i, want := range shape {
			fits = fits && (want == "" && resource[i] != "" || want == resource[i])
		}
		if fits {
			return true
		}
	}
	return false
}

// TestAPathOfANameLeavesNothing is the same for names in which the provider
// takes an encoded slash for part of them: for servers that do, or that do not
// decode slashes at all.
func TestAPathOfANameLeavesNothing(t *testing.T) {
	rule := Rule{Methods: []string{"GET"}, Paths: []string{"/v/{+x}/c"}}
	pieces := []string{"/", "a", "c", "%2F", "%2f", "..", "%2e", "%25", "%252F", ";", "%3B", "%5c"}
	admitted := 0
	rapid.Check(t, func(t *rapid.T) {
		path := "/v/" + strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 1, 4).Draw(t, "pieces"), "") + "/c"
		if _, err := rule.Match("GET", path); err != nil {
			return
		}
		admitted++
		for after := 1; after < 4; after++ {
			s := server{after: after}
			require.True(t, within(s.resolve(path), [][]string{{"v", "", "c"}}), "%s is read as %q", path, s.resolve(path))
		}
		plain := server{before: 1}.resolve(path)
		require.True(t, len(plain) >= 3 && plain[0] == "v", "%s climbs", path)
	})
	require.Positive(t, admitted)
}

// TestAPathIsReadInAllItsWays counts what no test of single paths would show.
func TestAPathIsReadInAllItsWays(t *testing.T) {
	for path, want := range map[string][]string{
		"/":            {""},
		"/a/b":         {"a b"},
		"/a%2Fb":       {"a/b", "a b"},
		"/a;x/b":       {"a;x b", "a b"},
		"/a%3Fx/b":     {"a?x b", "a"},
		"/a/%3Fx":      {"a ?x", "a"},
		"/a/;%3F/b":    {"a ;? b", "a ;", "a b", "a"},
		"/a%23/b":      {"a# b"},
		"/100%25.txt":  {"100%.txt"},
		"/a%2541":      {"a%41", "aA"},
		"/x/docs%2F":   {"x docs/", "x docs"},
		"/a%252541%2F": {"a%2541/", "a%2541", "a%41/", "a%41", "aA/", "aA"},
	} {
		all, err := readPath(path)
		require.NoError(t, err, path)
		var got []string
		seen := map[string]bool{}
		for _, r := range all {
			var texts []string
			for _, p := range r {
				texts = append(texts, p.text)
			}
			if text := strings.Join(texts, " "); !seen[text] {
				seen[text] = true
				got = append(got, text)
			}
		}
		require.Equal(t, want, got, path)
	}
}
