"""python -m fooling_utils.web OUT"""

from . import main

main()
