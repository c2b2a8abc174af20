package names_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/names"
)

// segments returns n segments of one byte, joined.
func segments(n int) string { return strings.TrimSuffix(strings.Repeat("a/", n), "/") }

// sized returns a path of exactly n bytes in segments of up to 127.
func sized(n int) string {
	path := strings.Repeat(strings.Repeat("k", 127)+"/", n/128+1)[:n]
	if strings.HasSuffix(path, "/") {
		path = path[:n-1] + "k"
	}
	return path
}

func TestVaultKeyAndPrefixAtTheirLimits(t *testing.T) {
	for _, c := range []struct {
		why         string
		text        string
		key, prefix bool
	}{
		{"32 segments", segments(32), true, true},
		{"33 segments", segments(33), false, false},
		{"31 segments and a slash", segments(31) + "/", false, true},
		{"32 segments and a slash leave no room", segments(32) + "/", false, false},
		{"a segment of 128 bytes", strings.Repeat("k", 128), true, true},
		{"a segment of 129 bytes", strings.Repeat("k", 129), false, false},
		{"a last segment of 128 bytes and a slash", "a/" + strings.Repeat("k", 128) + "/", false, true},
		{"a first segment of 129 bytes", strings.Repeat("k", 129) + "/a", false, false},
		{"512 bytes", sized(512), true, true},
		{"513 bytes", sized(513), false, false},
		{"510 bytes with the slash", sized(509) + "/", false, true},
		{"511 bytes with the slash", sized(510) + "/", false, false},
		{"every key", "/", false, true},
		{"two slashes", "//", false, false},
		{"empty", "", false, false},
		{"all bytes that are allowed", "AZaz09._@+=:-", true, true},
		{"three dots", "a/...", true, true},
		{"a dot inside", "a/.b", true, true},
		{"a dot segment below", "a/./b", false, false},
		{"a dot segment before the slash", "a/../", false, false},
		{"a leading slash", "/a", false, false},
		{"a leading slash before a subtree", "/a/", false, false},
		{"a double slash inside", "a//b", false, false},
		{"a double slash at the end", "a//", false, false},
		{"a glob", "a/*", false, false},
		{"a glob subtree", "*/", false, false},
		{"a NUL", "a\x00", false, false},
		{"a byte that is no text", "a\xff", false, false},
	} {
		t.Run(c.why, func(t *testing.T) {
			require.Equal(t, c.key, names.VaultKey(c.text) == nil)
			require.Equal(t, c.prefix, names.VaultPrefix(c.text) == nil)
		})
	}
}

func TestVaultKeyBytesAreThoseOfTheGrammar(t *testing.T) {
	grammar := regexp.MustCompile(`^[A-Za-z0-9._@+=:-]$`)
	for b := range 256 {
		text := string([]byte{byte(b)})
		want := b < utf8.RuneSelf && grammar.MatchString(text) && text != "."
		require.Equal(t, want, names.VaultKey(text) == nil, "%#x", b)
		require.Equal(t, want || b == '/', names.VaultPrefix(text) == nil, "%#x", b)
		if b != '/' {
			require.Equal(t, want || b == '.', names.VaultKey("a"+text) == nil, "%#x", b)
		}
	}
}

// Room is left below every subtree for a key of two bytes, so that a witness can
// be made.
func TestEverySubtreeHoldsAKey(t *testing.T) {
	for _, prefix := range []string{segments(31) + "/", sized(509) + "/", "a/"} {
		require.NoError(t, names.VaultPrefix(prefix))
		require.NoError(t, names.VaultKey(prefix+"99"))
	}
}

func TestNamesAreThoseOfTheirGrammar(t *testing.T) {
	credential := regexp.MustCompile(`\A[A-Za-z][A-Za-z0-9_-]{0,63}\z`)
	name := regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9._-]{0,127}\z`)
	samples := []string{
		"", "a", "A", "0", "_", "-", ".", "..", "a.b", "a_b", "a-b", "a b", "a/b", "a\n", "\na", "é", "aé", "a\u017f",
		"a\x00", "a%",
		strings.Repeat("a", 64), strings.Repeat("a", 65), strings.Repeat("a", 128), strings.Repeat("a", 129),
	}
	for b := range 256 {
		samples = append(samples, string([]byte{byte(b)}), "a"+string([]byte{byte(b)}))
	}
	for _, s := range samples {
		require.Equal(t, credential.MatchString(s), names.CredentialID(s) == nil, "credential id %q", s)
		require.Equal(t, name.MatchString(s), names.Name(s) == nil, "name %q", s)
	}
}

func TestCapabilitiesAndTheirPatterns(t *testing.T) {
	for _, c := range []struct {
		text        string
		id, pattern bool
	}{
		{"github/repos", true, true},
		{"github/", false, true},
		{"/", false, true},
		{"", false, false},
		{"github", false, false},
		{"/repos", false, false},
		{"github//", false, false},
		{"github/repos/", false, false},
		{"github/repos/one", false, false},
		{"github/*", false, false},
		{"../repos", false, false},
		{"github/..", false, false},
	} {
		require.Equal(t, c.id, names.Capability(c.text) == nil, "%q", c.text)
		require.Equal(t, c.pattern, names.CapabilityPattern(c.text) == nil, "%q", c.text)
	}
}

func TestAnIDIsAUUIDInOneForm(t *testing.T) {
	const id = "0197f3c2-9d1e-7b3a-8c55-2f6a1e0d9b4c"
	for _, c := range []struct {
		why, id          string
		uuid, asItIsMade bool
	}{
		{"as the server makes it", id, true, true},
		{"in capitals", strings.ToUpper(id), true, false},
		{"in braces", "{" + id + "}", false, false},
		{"as a URN", "urn:uuid:" + id, false, false},
		{"without hyphens", strings.ReplaceAll(id, "-", ""), false, false},
		{"a letter that is no digit", "g" + id[1:], false, false},
		{"a hyphen elsewhere", "01-97f3c29d1e-7b3a-8c55-2f6a1e0d9b4c", false, false},
		{"empty", "", false, false},
	} {
		require.Equal(t, c.uuid, names.UUID(c.id) == nil, c.why)
		require.Equal(t, c.asItIsMade, names.CanonicalUUID(c.id) == nil, c.why)
	}
}

func TestStoragePathAtItsLimits(t *testing.T) {
	long := strings.Repeat(strings.Repeat("s", 255)+"/", 4) // 1024 bytes
	for _, c := range []struct {
		why, path string
		valid     bool
	}{
		{"1024 bytes", "ss/" + long[:1021], true},
		{"1025 bytes", "sss/" + long[:1021], false},
		{"a segment of 255 bytes", strings.Repeat("s", 255), true},
		{"a segment of 256 bytes", strings.Repeat("s", 256), false},
		{"a segment of 255 bytes, 85 characters", strings.Repeat("報", 85), true},
		{"a segment of 258 bytes, 86 characters", strings.Repeat("報", 86), false},
		{"a last segment of 256 bytes", "a/" + strings.Repeat("s", 256), false},
		{"a trailing slash", "a/", false},
		{"only a slash", "/", false},
		{"a dot", ".", false},
		{"a dot below", "a/./b", false},
		{"three dots", "...", true},
		{"a hidden file", ".env", true},
		{"a backslash", `a\b`, false},
		{"a space at either end", " a ", true},
		{"every ASCII sign", "!\"#$%&'()*+,-.:;<=>?@[]^_`{|}~", true},
		{"invalid UTF-8", "a\xffb", false},
		{"a surrogate in UTF-8", "a\xed\xa0\x80", false},
		{"the replacement character itself", "a\uFFFD", true},
		{"a letter and a combining mark", "e\u0301", true},
		{"a heart with its variation selector", "\u2764\uFE0F.png", true},
		{"a visible sign of category Cf", "\u0600", true},
		{"a no-break space", "a\u00A0b", true},
		{"a private use character", "\uE000", true},
	} {
		t.Run(c.why, func(t *testing.T) {
			require.Equal(t, c.valid, names.StoragePath(c.path) == nil)
		})
	}
}

// The characters that a storage path must not hold, from the files of the
// Unicode Character Database that are named beside them.
var hostileRunes = []struct {
	what        string
	first, last rune
}{
	{"C0 controls (UnicodeData.txt, Cc)", 0x00, 0x1F},
	{"delete and C1 controls (UnicodeData.txt, Cc)", 0x7F, 0x9F},
	{"backslash", '\\', '\\'},
	{"line and paragraph separator (UnicodeData.txt, Zl and Zp)", 0x2028, 0x2029},
	{"Arabic letter mark (PropList.txt, Bidi_Control)", 0x061C, 0x061C},
	{"left-to-right and right-to-left mark (PropList.txt, Bidi_Control)", 0x200E, 0x200F},
	{"bidi embeddings and overrides (PropList.txt, Bidi_Control)", 0x202A, 0x202E},
	{"bidi isolates (PropList.txt, Bidi_Control)", 0x2066, 0x2069},
	{"zero width space, non-joiner and joiner (UnicodeData.txt)", 0x200B, 0x200D},
	{"word joiner and invisible operators (DerivedCoreProperties.txt, Default_Ignorable_Code_Point)", 0x2060, 0x2064},
	{"deprecated format characters (DerivedCoreProperties.txt, Default_Ignorable_Code_Point)", 0x206A, 0x206F},
	{"zero width no-break space (UnicodeData.txt)", 0xFEFF, 0xFEFF},
	{"soft hyphen (DerivedCoreProperties.txt, Default_Ignorable_Code_Point)", 0xAD, 0xAD},
	{"combining grapheme joiner (DerivedCoreProperties.txt, Default_Ignorable_Code_Point)", 0x034F, 0x034F},
	{"Mongolian vowel separator (DerivedCoreProperties.txt, Default_Ignorable_Code_Point)", 0x180E, 0x180E},
	{"Hangul fillers (DerivedCoreProperties.txt, Default_Ignorable_Code_Point)", 0x115F, 0x1160},
	{"Hangul filler (DerivedCoreProperties.txt, Default_Ignorable_Code_Point)", 0x3164, 0x3164},
	{"halfwidth Hangul filler (DerivedCoreProperties.txt, Default_Ignorable_Code_Point)", 0xFFA0, 0xFFA0},
	{"interlinear annotation (UnicodeData.txt, Cf)", 0xFFF9, 0xFFFB},
	{"tags (DerivedCoreProperties.txt, Default_Ignorable_Code_Point)", 0xE0001, 0xE007F},
}

func TestStoragePathRefusesWhatCannotBeSeen(t *testing.T) {
	for _, c := range hostileRunes {
		for r := c.first; r <= c.last; r++ {
			require.Error(t, names.StoragePath("invoice"+string(r)+"fdp.exe"), "%s: %U", c.what, r)
			require.Error(t, names.StoragePath(string(r)), "%s: %U", c.what, r)
		}
	}
	for r := rune(0); r <= unicode.MaxRune; r++ { // no bidi control is missing from the table
		if unicode.Is(unicode.Bidi_Control, r) {
			require.Error(t, names.StoragePath(string(r)), "%U", r)
		}
	}
}

func TestStoragePathAcceptsLettersOfEveryScript(t *testing.T) {
	for script, table := range unicode.Scripts {
		if slices.Contains([]string{"Common", "Inherited"}, script) {
			continue
		}
		for r := rune(0); r <= unicode.MaxRune; r++ {
			if unicode.Is(table, r) && unicode.IsLetter(r) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) {
				require.NoError(t, names.StoragePath(string(r)), "%s %U", script, r)
				break
			}
		}
	}
}

func TestRefusalsDoNotQuote(t *testing.T) {
	const canary = "hunter2 \\"
	for _, check := range []func(string) error{
		names.VaultKey, names.VaultPrefix, names.CredentialID, names.Name, names.Capability, names.CapabilityPattern,
		names.StoragePath,
	} {
		err := check(canary)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func FuzzGrammars(f *testing.F) {
	f.Add("prod/crm/salesforce")
	f.Add("a/../b\xff\u202e")
	segment := regexp.MustCompile(`\A[A-Za-z0-9._@+=:-]{1,128}\z`)
	f.Fuzz(func(t *testing.T, s string) {
		parts := strings.Split(s, "/")
		broken := slices.ContainsFunc(parts, func(part string) bool {
			return part == "." || part == ".." || !segment.MatchString(part)
		})
		require.Equal(t, !broken && len(parts) <= 32 && len(s) <= 512, names.VaultKey(s) == nil, "%q", s)
		if names.VaultKey(s) == nil {
			require.NoError(t, names.VaultPrefix(s), "every key is a prefix")
			require.NoError(t, names.StoragePath(s), "every key is a storage path")
		}
		if names.Name(s) == nil {
			require.NoError(t, names.VaultKey(s), "every name is a key")
		}
		for _, check := range []func(string) error{
			names.CredentialID, names.Capability, names.CapabilityPattern, names.StoragePath,
		} {
			_ = check(s) // must not panic
		}
	})
}
