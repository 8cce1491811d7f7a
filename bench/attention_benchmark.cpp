// Scaled dot-product attention: rows A1-A16 of the table.
#include "row_benchmark.hpp"
#include "rows/attention.hpp"

int main(int argc, char** argv) { return bench::run(argc, argv, bench::attention_rows()); }
