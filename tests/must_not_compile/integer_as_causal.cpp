// refused: by its type
#include <attend/attend.hpp>
using namespace attend;

#ifdef MISTAKE
Causal f() { return 1; }
#else
Causal f() { return true; }
#endif
