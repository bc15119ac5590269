package sysprops

// Row is a row of the table, for tests.
type Row struct {
	Property Property
	Place    Place
	Ways     Way
	Name     string
}

// Table is the table.
func Table() []Row {
	var rows []Row
	for place := range table {
		for _, r := range table[place] {
			rows = append(rows, Row{r.property, Place(place), r.ways, r.name})
		}
	}
	return rows
}
