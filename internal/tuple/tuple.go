// Package tuple writes several values as one row of bytes, for what is sealed,
// proven, hashed or signed. Each value comes after its length, so that no two
// lists of values have the same bytes, whatever the values hold.
//
// The bytes are in databases: a change here would make seals that do not open and
// proofs that do not hold.
package tuple

import "encoding/binary"

// Encoding is the values so far. Lengths and numbers have 8 bytes, big-endian.
type Encoding []byte

// New returns an encoding of no value, with room for so many bytes.
func New(room int) Encoding { return make(Encoding, 0, room) }

// Text appends texts.
func (e Encoding) Text(values ...string) Encoding {
	for _, v := range values {
		e = binary.BigEndian.AppendUint64(e, uint64(len(v)))
		e = append(e, v...)
	}
	return e
}

// Bytes appends bytes.
func (e Encoding) Bytes(values ...[]byte) Encoding {
	for _, v := range values {
		e = binary.BigEndian.AppendUint64(e, uint64(len(v)))
		e = append(e, v...)
	}
	return e
}

// Number appends numbers.
func (e Encoding) Number(values ...int64) Encoding {
	for _, v := range values {
		e = binary.BigEndian.AppendUint64(e, 8)
		e = binary.BigEndian.AppendUint64(e, uint64(v))
	}
	return e
}

// Flag appends a number: 1 for true, 0 for false.
func (e Encoding) Flag(v bool) Encoding {
	if v {
		return e.Number(1)
	}
	return e.Number(0)
}

// Fixed appends numbers without their length, which is always 8 and so parts them
// as well. It is for what was first written so: a seal's version, an event's
// number and time, and what the log's keys sign.
func (e Encoding) Fixed(values ...int64) Encoding {
	for _, v := range values {
		e = binary.BigEndian.AppendUint64(e, uint64(v))
	}
	return e
}
