// Convolutions: rows C1-C12 of the table.
#include "row_benchmark.hpp"
#include "rows/convolution.hpp"

int main(int argc, char** argv) { return bench::run(argc, argv, bench::convolution_rows()); }
