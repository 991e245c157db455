"""What other libraries hold comes in where it lies, and masks go back to them."""

import nibabel
import numpy as np
import SimpleITK

import segmend

# nibabel and SimpleITK say where their voxels are; so do paths and folders of DICOM.
numbers = np.arange(240, dtype=np.int16).reshape(8, 6, 5)  # x, y, z, as nibabel has it
scan = nibabel.Nifti1Image(numbers, np.diag([0.5, 0.5, 3.0, 1.0]))
image = segmend.open_image(scan)
assert image.shape == (5, 6, 8)  # always z, y, x
assert image.spacing.tolist() == [3.0, 0.5, 0.5]

# An array does not: say the order of its axes; an affine or a spacing counts in the same order.
same = segmend.open_image(numbers, affine=scan.affine, axes="xyz")
assert np.array_equal(same.voxels, image.voxels)
assert np.array_equal(same.affine, image.affine)

# Marks in millimetres, RAS as nibabel counts them or LPS as SimpleITK and DICOM do.
click = segmend.Click.at_mm((1.0, 1.5, 6.0), image)
assert click == segmend.Click((2, 3, 2)) == segmend.Click.at_mm((-1.0, -1.5, 6.0), image, space="LPS")

# Masks and images go back to where they came from.
mask = image.voxels[0] > 120
assert np.array_equal(np.asarray(segmend.to_nibabel(mask, image).dataobj), numbers > 120)
assert SimpleITK.GetArrayFromImage(segmend.to_simpleitk(mask, image)).sum() == mask.sum()
