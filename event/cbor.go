package event

import "github.com/fxamacker/cbor/v2"

// Deterministic encodes in the core deterministic form of RFC 8949 §4.2, byte
// arrays as byte strings.
var Deterministic = func() cbor.EncMode {
	o := cbor.CoreDetEncOptions()
	o.ByteArray = cbor.ByteArrayToByteSlice
	o.NilContainers = cbor.NilContainerAsEmpty
	m, err := o.EncMode()
	if err != nil {
		panic(err)
	}
	return m
}()

// Strict decodes what Deterministic writes and refuses duplicate and unknown
// keys, indefinite lengths, trailing bytes and text that is not UTF-8.
var Strict = strict(maxNested)

// nested is Strict for what stands one level deep in a leaf.
var nested = strict(maxNested - 1)

// maxNested is how many levels deep a leaf or a sealed block may nest.
const maxNested = 16

func strict(levels int) cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		UTF8:              cbor.UTF8RejectInvalid,
		MaxNestedLevels:   levels,
		IntDec:            cbor.IntDecConvertSignedOrFail,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return m
}
