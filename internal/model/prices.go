package model

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/strictjson"
)

// maxPriceFile bounds a price table in bytes.
const maxPriceFile = 1 << 20

// ErrPrices is in every error about a price table.
var ErrPrices = errors.New("not a usable price table")

// Prices say what models cost. A nil *Prices knows no price.
type Prices struct {
	byProvider map[bctrl.AIProvider][]price
}

// price is an entry of a price table, in US dollars for a million tokens.
type price struct {
	Provider bctrl.AIProvider `json:"provider"`
	// Model is a model's name, or the beginning of several with "*" at its end.
	Model string `json:"model"`
	// Input and Output are required, so that a forgotten one is not taken for free.
	Input  *float64 `json:"input"`
	Output *float64 `json:"output"`
	// CachedInput is of the input tokens that the provider had cached; nil is Input.
	CachedInput *float64 `json:"cachedInput"`
}

// LoadPrices reads the price table in a file. Its error wraps [ErrPrices] where
// the file can be read but breaks a rule, and names the entry.
func LoadPrices(path string) (*Prices, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the price table: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPriceFile+1))
	if err != nil {
		return nil, fmt.Errorf("read the price table: %w", err)
	}
	if len(text) > maxPriceFile {
		return nil, fmt.Errorf("%w: it is larger than %d bytes", ErrPrices, maxPriceFile)
	}
	return ParsePrices(text)
}

// ParsePrices reads a price table.
func ParsePrices(text []byte) (*Prices, error) {
	var table struct {
		Prices []price `json:"prices"`
	}
	if err := strictjson.Unmarshal(text, &table); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPrices, err)
	}
	if len(table.Prices) == 0 {
		return nil, fmt.Errorf(`%w: it has no "prices"`, ErrPrices)
	}
	p := &Prices{byProvider: make(map[bctrl.AIProvider][]price)}
	seen := make(map[string]int)
	for i, entry := range table.Prices {
		if why := entry.check(); why != "" {
			return nil, fmt.Errorf("%w: prices[%d] (%s %q): %s", ErrPrices, i, entry.Provider, entry.Model, why)
		}
		name := string(entry.Provider) + " " + entry.Model
		if first, twice := seen[name]; twice {
			return nil, fmt.Errorf("%w: prices[%d] (%s %q): prices[%d] has the same model", ErrPrices, i, entry.Provider,
				entry.Model, first)
		}
		seen[name] = i
		p.byProvider[entry.Provider] = append(p.byProvider[entry.Provider], entry)
	}
	return p, nil
}

// check says what is wrong with an entry; empty for nothing.
func (p price) check() string {
	if _, known := providerOf(p.Provider); !known {
		return "the provider is none of openai, anthropic, google and openai-compatible"
	}
	if p.Model == "" || strings.Contains(strings.TrimSuffix(p.Model, "*"), "*") {
		return `the model is a name, or the beginning of names with "*" at its end`
	}
	for _, field := range []struct {
		name     string
		value    *float64
		required bool
	}{{"input", p.Input, true}, {"output", p.Output, true}, {"cachedInput", p.CachedInput, false}} {
		if field.value == nil && field.required {
			return field.name + " is missing: US dollars for a million tokens"
		}
		if field.value != nil && (*field.value < 0 || *field.value > 1e6) {
			return field.name + " is out of range: US dollars for a million tokens, 0 to 1000000"
		}
	}
	return ""
}

// Cost returns what usage costs in US dollars, and whether the table has the
// model: by its name, else by the longest beginning of it.
func (p *Prices) Cost(provider bctrl.AIProvider, model string, usage Usage) (usd float64, known bool) {
	if p == nil {
		return 0, false
	}
	model = strings.TrimPrefix(model, "models/") // Google's own prefix
	var best price
	for _, entry := range p.byProvider[provider] {
		start, open := strings.CutSuffix(entry.Model, "*")
		if entry.Model == model {
			best, known = entry, true
			break
		}
		if open && strings.HasPrefix(model, start) && (!known || len(entry.Model) > len(best.Model)) {
			best, known = entry, true
		}
	}
	if !known {
		return 0, false
	}
	cached := *best.Input
	if best.CachedInput != nil {
		cached = *best.CachedInput
	}
	fresh := usage.InputTokens - usage.CachedInputTokens
	return (float64(fresh)**best.Input + float64(usage.CachedInputTokens)*cached +
		float64(usage.OutputTokens)**best.Output) / 1e6, true
}
