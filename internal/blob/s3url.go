package blob

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// S3Config says which bucket of which S3 server keeps the blobs. It holds no
// credentials: they come from where all programs with an AWS SDK find them, the
// environment, the files below ~/.aws, or a role of the machine.
type S3Config struct {
	// Bucket has to be there.
	Bucket string
	// Prefix begins the key of every object, so that a bucket can be shared; it is empty
	// or ends with a slash.
	Prefix string
	// Endpoint is the address of the server; empty is what AWS_ENDPOINT_URL says, or
	// else AWS.
	Endpoint string
	// Region is the bucket's; empty is the one of the environment or the profile.
	Region string
	// VirtualHosts puts the bucket's name before the endpoint's host rather than into
	// the path. AWS's own is always addressed so.
	VirtualHosts bool
}

// The names of the parameters of an s3 URL.
const (
	paramEndpoint   = "endpoint"
	paramRegion     = "region"
	paramAddressing = "addressing"
)

// ParseS3 reads an address like s3://bucket/prefix?endpoint=…&region=…. Its errors
// repeat nothing of it but names of parameters: who puts a password there
// has not meant to show it.
func ParseS3(text string) (cfg S3Config, err error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "s3" || u.Opaque != "" {
		return cfg, errors.New("want s3://bucket?endpoint=https://…&region=…")
	}
	if u.User != nil {
		return cfg, errors.New("credentials do not belong into the address: give them in AWS_ACCESS_KEY_ID and " +
			"AWS_SECRET_ACCESS_KEY, or in ~/.aws/credentials")
	}
	if u.Fragment != "" || u.RawFragment != "" {
		return cfg, errors.New("an address of files has no fragment (#)")
	}
	if cfg.Bucket = u.Host; !isBucketName(u.Host) {
		return cfg, errors.New("the bucket has 3 to 63 lower-case letters, digits, dots and hyphens")
	}
	if cfg.Prefix, err = parsePrefix(u.EscapedPath()); err != nil {
		return cfg, err
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return cfg, errors.New("the parameters of the address cannot be read: escape what is in them")
	}
	for name, values := range query {
		if len(values) != 1 || values[0] == "" {
			return cfg, fmt.Errorf("give %q once, with a value", shortName(name))
		}
		switch value := values[0]; name {
		case paramEndpoint:
			cfg.Endpoint, err = value, checkEndpoint(value)
		case paramRegion:
			if cfg.Region = value; !isRegion(value) {
				err = errors.New("the region has lower-case letters, digits and hyphens, such as eu-central-1")
			}
		case paramAddressing:
			if cfg.VirtualHosts = value == "virtual"; !cfg.VirtualHosts && value != "path" {
				err = errors.New("addressing is path or virtual")
			}
		default:
			err = fmt.Errorf("there is no parameter %q: want endpoint, region and addressing", shortName(name))
		}
		if err != nil {
			return cfg, err
		}
	}
	return cfg, nil
}

// shortName is a parameter's name as it may be shown: whatever does not look like one
// may be a misplaced secret.
func shortName(name string) string {
	if len(name) > 20 || !isRegion(strings.ToLower(name)) {
		return "…"
	}
	return name
}

func isBucketName(name string) bool {
	return regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`).MatchString(name) && !strings.Contains(name, "..")
}

func isRegion(name string) bool {
	return regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`).MatchString(name)
}

func parsePrefix(path string) (string, error) {
	path = strings.Trim(path, "/")
	if path == "" {
		return "", nil
	}
	for segment := range strings.SplitSeq(path, "/") {
		if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`).MatchString(segment) {
			return "", errors.New("the path after the bucket has letters, digits, dots, hyphens and underscores, in segments " +
				"that begin with a letter or a digit")
		}
	}
	if len(path) > 500 { // of the 1024 bytes of a key
		return "", errors.New("the path after the bucket is longer than 500 characters")
	}
	return path + "/", nil
}

// checkEndpoint refuses an address that would send files across a network in the
// clear.
func checkEndpoint(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Fragment != "":
		return errors.New("the endpoint is https, a host and perhaps a port, such as https://s3.example.com")
	case u.User != nil:
		return errors.New("credentials do not belong into the endpoint: give them in AWS_ACCESS_KEY_ID and " +
			"AWS_SECRET_ACCESS_KEY, or in ~/.aws/credentials")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return errors.New("the endpoint has to be https: files would cross the network in clear text. Only a server of " +
			"this machine may be http")
	}
	if port := u.Port(); port == "" && strings.HasSuffix(u.Host, ":") {
		return errors.New("the endpoint's port is missing")
	}
	return nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	at, err := netip.ParseAddr(host)
	return err == nil && at.Unmap().IsLoopback()
}

// String is the bucket as errors and logs name it.
func (c S3Config) String() string {
	host := "AWS"
	if u, err := url.Parse(c.Endpoint); err == nil && u.Host != "" {
		host = u.Host // without user and path
	}
	return fmt.Sprintf("bucket %s at %s", c.Bucket, host)
}
