package scrub

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/bctrl-go/bctrl"
)

// BenchmarkMask is what an answer of a provider costs, beside what is made for it.
func BenchmarkMask(b *testing.B) {
	key := bctrl.NewSecret("acme-key-0123456789abcdefghijklmnop")
	for _, c := range []struct{ name, text string }{
		{"JSON", `{"object":"thing","text":"` + strings.Repeat("lorem ipsum ", 80) + `"}` + "\n"},
		{"embeddings", `{"embedding":[` + strings.Repeat("-0.0123456789, 0.98765432,", 40) + `]}`},
		{"base64", strings.Repeat("iVBORw0KGgoAAAANSUhEUgAAASwAAACoCAMAAABt9SM9AAAAA1BMVEUAAACnej3aAAAA", 20)},
	} {
		text := []byte(strings.Repeat(c.text, 1<<20/len(c.text)))
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			set := New(key)
			for b.Loop() {
				if _, err := io.Copy(io.Discard, set.Mask(bytes.NewReader(text))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkNew is what is made for each call.
func BenchmarkNew(b *testing.B) {
	key := bctrl.NewSecret("acme-key-0123456789abcdefghijklmnop")
	for b.Loop() {
		New(key)
	}
}
