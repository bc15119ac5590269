package twindoc

// CheckIndex returns how many entries the index of a section has, and an error if one of them is not the beginning of a member
// of the section with the number of its node.
func CheckIndex(s Section) (entries int, err error) {
	if len(s.Metadata) == 0 {
		return 0, nil
	}
	m, err := decodeMetadata(s.Metadata)
	if err != nil {
		return 0, err
	}
	return m.index.len(), m.checkIndex(s.document())
}
