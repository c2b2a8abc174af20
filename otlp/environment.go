package otlp

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// isWanted reports whether the environment wants spans, or what it wants that is not there. No error
// has a value: a key may stand in each, also where it was not meant to.
func isWanted() (bool, error) {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	switch os.Getenv("OTEL_TRACES_EXPORTER") {
	case "none":
		return false, nil
	case "", "otlp":
	default:
		return false, errors.New("OTEL_TRACES_EXPORTER: want otlp or none")
	}
	for _, prefix := range []string{"OTEL_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_TRACES_"} {
		for _, v := range variables {
			value := strings.TrimSpace(os.Getenv(prefix + v.name))
			if value != "" && !v.isGood(value) {
				return false, fmt.Errorf("%s%s: want %s", prefix, v.name, v.want)
			}
		}
		if !isKeyPair(prefix) {
			return false, fmt.Errorf("%sCLIENT_CERTIFICATE, %[1]sCLIENT_KEY: want PEM files of a certificate and its key",
				prefix)
		}
	}
	return true, nil
}

// variables are those that the exporter would do without where it cannot read them, after their prefix.
var variables = []struct {
	name, want string
	isGood     func(value string) bool
}{
	{"PROTOCOL", "http/protobuf", func(value string) bool { return value == "http/protobuf" }},
	{"ENDPOINT", "an address such as https://collector.example.com", isAddress},
	{"HEADERS", "names and values, such as api-key=…, with commas between them, and percent signs as %25", areHeaders},
	{"CERTIFICATE", "a file with certificates in PEM", areCertificates},
	{"TIMEOUT", "milliseconds", func(value string) bool {
		n, err := strconv.Atoi(value)
		return err == nil && n >= 0
	}},
}

func isAddress(value string) bool {
	u, err := url.Parse(value)
	return err == nil && (strings.EqualFold(u.Scheme, "http") || strings.EqualFold(u.Scheme, "https")) && u.Host != ""
}

func areHeaders(value string) bool {
	for header := range strings.SplitSeq(value, ",") {
		if strings.TrimSpace(header) == "" {
			continue // as after a last comma
		}
		name, escaped, _ := strings.Cut(header, "=") // a name alone is refused for its value
		sent, err := url.PathUnescape(escaped)
		sent = strings.TrimSpace(sent)
		if err != nil || sent == "" || !httpguts.ValidHeaderFieldName(strings.TrimSpace(name)) ||
			!httpguts.ValidHeaderFieldValue(sent) {
			return false
		}
	}
	return true
}

func areCertificates(path string) bool {
	pem, err := os.ReadFile(path)
	return err == nil && x509.NewCertPool().AppendCertsFromPEM(pem)
}

// isKeyPair reports whether a client's certificate has its key, or there is neither.
func isKeyPair(prefix string) bool {
	certificate := strings.TrimSpace(os.Getenv(prefix + "CLIENT_CERTIFICATE"))
	key := strings.TrimSpace(os.Getenv(prefix + "CLIENT_KEY"))
	if certificate == "" && key == "" {
		return true
	}
	_, err := tls.LoadX509KeyPair(certificate, key)
	return err == nil
}
